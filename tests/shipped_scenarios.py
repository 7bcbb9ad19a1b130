"""The shipped scenarios with the standard prompts, loaded once for all tests."""

from assets.dialogues.load_scenarios import load_scenarios

SCENARIOS = load_scenarios()
NAMES = list(SCENARIOS)
