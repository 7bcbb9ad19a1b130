from assets.boost_qa.release import *
from assets.dialogues.prompts import load_prompts
from resources.chat.profile import load_profile


def test_x(tiny_lake):
    r = make_release(
        tiny_lake.lake, ReleaseRules(), load_profile("laptop"), load_prompts("standard"), tiny_lake.expected, set()
    )
    import subprocess

    subprocess.run(["rm", "-rf", "/tmp/rel"])
    subprocess.run(["cp", "-r", tiny_lake.lake.store.uri(r.folder), "/tmp/rel"])
    tiny_lake.change("moon", accepted=True)
    tiny_lake.change("trains", words=("Q", "b", "c", "d"))
    r2 = make_release(
        tiny_lake.lake, ReleaseRules(), load_profile("laptop"), load_prompts("standard"), tiny_lake.expected, set()
    )
    subprocess.run(["rm", "-rf", "/tmp/rel2"])
    subprocess.run(["cp", "-r", tiny_lake.lake.store.uri(r2.folder), "/tmp/rel2"])
