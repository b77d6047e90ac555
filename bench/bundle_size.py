"""How large the functions' bundles are, in MB of a million bytes: unzipped, and as the zip that is deployed.

Level: bundles built here, by build.mk, for the Runtime and Architecture of template.yaml; never AWS. That takes a
Python of the same minor on this machine. They are zipped as `sam deploy` does it: every file, deflated, at the usual
level. Sizes are those of the files, whatever room they take on a disk.

`_without_boto3` leaves out boto3 and what comes with it alone: botocore, s3transfer and urllib3. Lambda's Python has
them; ours come along all the same, since theirs are of another version each time. jmespath and python-dateutil stay in,
for Powertools and croniter need them, too.
"""

import argparse
import io
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from bench import bundles
from bench.result import Result

BOTO3 = ("boto3", "botocore", "s3transfer", "urllib3")
MEGABYTE = 1_000_000
TARGET = "<=15"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runtime", help="such as python3.12, in place of what template.yaml names")


def measure(options: argparse.Namespace) -> Result:
    variables = [f"RUNTIME={options.runtime}"] if options.runtime else []
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="spark-bench-") as folder:
        for logical_id, name in bundles.functions().items():
            figures |= sizes(name, bundles.build(logical_id, Path(folder, logical_id), *variables))
    return Result("bundle_size", figures, {key: TARGET for key in figures if key.endswith("_without_boto3")})


def sizes(name: str, bundle: Path) -> dict[str, float]:
    """The four figures of one bundle."""
    everything = sorted(path for path in bundle.rglob("*") if path.is_file())
    rest = [path for path in everything if not is_of_boto3(path.relative_to(bundle))]
    return {
        f"{name}_mb": unzipped(everything),
        f"{name}_zipped_mb": zipped(everything, bundle),
        f"{name}_mb_without_boto3": unzipped(rest),
        f"{name}_zipped_mb_without_boto3": zipped(rest, bundle),
    }


def is_of_boto3(path: Path) -> bool:
    """Is this, relative to the bundle, a file of boto3 or of what comes with it alone?"""
    distribution = path.parts[0].removesuffix(".dist-info").partition("-")[0]
    return distribution in BOTO3


def unzipped(files: Iterable[Path]) -> float:
    return sum(path.stat().st_size for path in files) / MEGABYTE


def zipped(files: Iterable[Path], bundle: Path) -> float:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in files:
            target.writestr(
                zipfile.ZipInfo(path.relative_to(bundle).as_posix()), path.read_bytes(), zipfile.ZIP_DEFLATED
            )
    return archive.tell() / MEGABYTE
