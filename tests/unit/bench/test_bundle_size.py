import zipfile
from pathlib import Path

import pytest

from bench import bundle_size


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """2 MB of zeros, half of them boto3's, and a kilobyte beside them."""
    for name, size in {
        "botocore/data/one.json": 1_000_000,
        "boto3-1.44.dist-info/METADATA": 0,
        "pydantic/main.pyc": 1_000_000,
        "botocore_of_ours.py": 1_000,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    return tmp_path


def test_what_is_unzipped_is_the_sum_of_all_files(bundle: Path) -> None:
    found = bundle_size.sizes("api", bundle)
    assert found["api_mb"] == 2.001
    assert found["api_mb_without_boto3"] == 1.001


def test_what_is_zipped_is_as_large_as_the_archive(bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in bundle.rglob("*"):
            if path.is_file():
                target.write(path, path.relative_to(bundle))
    found = bundle_size.sizes("api", bundle)
    assert found["api_zipped_mb"] * 1_000_000 == archive.stat().st_size
    assert found["api_zipped_mb_without_boto3"] < found["api_zipped_mb"]


@pytest.mark.parametrize("name", ["boto3", "botocore", "s3transfer", "urllib3"])
def test_boto3_is_what_comes_with_it_alone(name: str) -> None:
    assert bundle_size.is_of_boto3(Path(name, "__init__.pyc"))
    assert bundle_size.is_of_boto3(Path(f"{name}-1.2.3.dist-info", "METADATA"))
    assert not bundle_size.is_of_boto3(Path(f"{name}_of_ours.py"))
    assert not bundle_size.is_of_boto3(Path("aws_xray_sdk", "ext", name, "patch.pyc"))
