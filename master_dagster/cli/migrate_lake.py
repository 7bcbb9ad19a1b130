"""`migrate-lake`: brings the lake to the format of this version."""

from master_dagster.settings import load_settings
from master_dagster.terminal import console
from resources.lake.format import FORMAT, migrate_lake
from resources.lake.opening import open_store


def migrate() -> None:
    """Migrate the lake that MASTER_LAKE_ROOT names, and print what was done."""
    settings = load_settings()
    moved = migrate_lake(open_store(settings.lake_root, settings.s3))
    console.print(
        f"The lake at {settings.lake_root} has format {FORMAT}; {moved} files were moved or rewritten.", markup=False
    )
    if moved:
        console.print("Next: launch the job mirror_lake, so that Dagster's record agrees with the lake.")
