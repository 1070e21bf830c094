"""Tests of batches whose images are downloaded and post-processed by real clusters."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hub_server import KEY, StandInHub
from runs import journal_of, names
from workers import (
    RecordingExecutor,
    describe,
    describe_slowly,
    notices,
    process_id,
    refuse_cats,
    requests,
    results,
    run_all,
    unpicklable,
)

from mountsea_magic.generation.events import PostprocessFailed
from mountsea_magic.generation.executors import ImageWorkers

if TYPE_CHECKING:
    from distributed import Client
    from ipyparallel import Client as Engines

DOGS = [f"dog {number}" for number in range(12)]


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Start a cluster of two worker processes for the module."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=2,
            dashboard_address=":0",
            local_directory=str(tmp_path_factory.mktemp("dask")),
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    """Start an ipyparallel cluster of one engine for the module."""
    from ipyparallel import Cluster

    profile = tmp_path_factory.mktemp("ipyparallel")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        cluster = Cluster(n=1, profile_dir=str(profile), log_level=logging.CRITICAL)
        client = cluster.start_and_connect_sync(activate=False)
    yield client
    client.close()
    cluster.stop_cluster_sync()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder for the originals, which does not exist yet; the journal is beside it."""
    return tmp_path / "originals"


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_a_dask_cluster_saves_and_postprocesses_the_images(
    dask: Client, transfer: str, folder: Path
) -> None:
    """Each image is downloaded once, and the key is in no call."""
    executor = RecordingExecutor(dask.get_executor())
    with StandInHub() as hub:
        runs = run_all(
            hub,
            folder,
            requests(DOGS[:3], num_images=2),
            ImageWorkers(executor, describe, transfer),
        )
        assert (len(hub.posts), len(hub.downloads_seen)) == (3, 6)
    done = results(runs)
    images = [image for each in done for image in each.images]
    assert names(folder) == sorted(image.path.name for image in images)
    assert all(image.is_intact() for image in images)
    assert [value for each in done for value in each.postprocessed] == [
        (each_prompt, image.path.name, len(image.bytes))
        for each_prompt, image in zip(sorted(DOGS[:3] * 2), images, strict=True)
    ]
    assert len(executor.pickled) == 6
    assert not any(KEY.encode() in call for call in executor.pickled)
    assert notices(runs) == []


def test_a_dask_cluster_works_in_other_processes(dask: Client, folder: Path) -> None:
    """Also through its client itself, whose futures are not those of `concurrent.futures`."""
    with StandInHub() as hub:
        (done,) = results(
            run_all(hub, folder, requests(["a dog"], num_images=2), ImageWorkers(dask, process_id))
        )
    assert {pid for pid, _ in done.postprocessed} <= set(dask.run(os.getpid).values())


def test_what_postprocess_raises_in_a_cluster_keeps_the_images(dask: Client, folder: Path) -> None:
    """The error has its type and text."""
    workers = ImageWorkers(dask.get_executor(), refuse_cats)
    with StandInHub() as hub:
        with pytest.raises(PostprocessFailed, match="ValueError: no cats, please"):
            run_all(hub, folder, requests(["a cat"]), workers)
        assert len(hub.posts) == 1
    (entry,) = journal_of(folder).search()
    assert entry.status == "completed" and entry.files[0].is_intact()


def test_a_result_that_a_cluster_cannot_send_fails_its_request(dask: Client, folder: Path) -> None:
    """A lambda can be sent there, but not every result can be sent back."""
    with StandInHub() as hub:
        executor = dask.get_executor()
        runs = run_all(hub, folder, requests(["a dog"]), ImageWorkers(executor, lambda *_: 7))
        assert results(runs)[0].postprocessed == (7,)
        assert notices(runs) == []
        with pytest.raises(PostprocessFailed, match=r"returned what can't be pickled .*lock"):
            run_all(hub, folder, requests(["a cat"]), ImageWorkers(executor, unpicklable))
    assert len(names(folder)) == 2


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_a_killed_dask_worker_loses_no_image(dask: Client, transfer: str, folder: Path) -> None:
    """The cluster repeats its calls: no second submission, and no file twice."""
    dask.wait_for_workers(2)
    killed_pid = min(dask.run(os.getpid).values())
    with StandInHub() as hub:

        def kill() -> None:
            hub.wait_until(lambda: len(hub.downloads_seen) >= 4)
            os.kill(killed_pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        workers = ImageWorkers(dask.get_executor(), describe_slowly, transfer)
        runs = run_all(hub, folder, requests(DOGS), workers)
        killer.join()
        assert len(hub.posts) == len(DOGS)
        assert len(hub.downloads_seen) >= len(DOGS)
    done = results(runs)
    images = [image for each in done for image in each.images]
    assert len(images) == len(DOGS) and all(image.is_intact() for image in images)
    assert names(folder) == sorted(image.path.name for image in images)
    assert [each.postprocessed[0][0] for each in done] == DOGS
    assert notices(runs) == []


def test_a_client_that_is_closed_loses_no_image(dask: Client, folder: Path) -> None:
    """This process does the rest, with one notice."""
    with type(dask)(dask.scheduler.address, set_as_default=False) as client, StandInHub() as hub:

        def close() -> None:
            hub.wait_until(lambda: len(hub.downloads_seen) >= 2)
            client.close()

        closer = threading.Thread(target=close)
        closer.start()
        runs = run_all(
            hub, folder, requests(DOGS), ImageWorkers(client.get_executor(), describe_slowly)
        )
        closer.join()
        assert len(hub.posts) == len(DOGS)
    done = results(runs)
    assert names(folder) == sorted(image.path.name for each in done for image in each.images)
    assert [each.postprocessed[0][0] for each in done] == DOGS
    assert len(notices(runs)) == 1


@pytest.mark.parametrize("transfer", ["path", "bytes"])
def test_ipyparallel_engines_save_and_postprocess_the_images(
    engines: Engines, transfer: str, folder: Path
) -> None:
    """They run an event loop of their own, and their results are no plain futures."""
    executor = RecordingExecutor(engines.executor())
    with StandInHub() as hub:
        runs = run_all(
            hub, folder, requests(DOGS[:3]), ImageWorkers(executor, process_id, transfer)
        )
        assert (len(hub.posts), len(hub.downloads_seen)) == (3, 3)
    done = results(runs)
    assert notices(runs) == []
    assert {each.postprocessed[0][0] for each in done} == set(engines[:].apply_sync(os.getpid))
    assert names(folder) == sorted(image.path.name for each in done for image in each.images)
    assert not any(KEY.encode() in call for call in executor.pickled)


def test_what_postprocess_raises_in_an_engine_keeps_the_images(
    engines: Engines, folder: Path
) -> None:
    """The error has its type and text."""
    workers = ImageWorkers(engines.executor(), refuse_cats)
    with StandInHub() as hub:
        with pytest.raises(PostprocessFailed, match="ValueError: no cats, please"):
            run_all(hub, folder, requests(["a cat"]), workers)
        runs = run_all(
            hub, folder, requests(["a dog"]), ImageWorkers(engines.executor(), lambda *_: 7)
        )
    assert results(runs)[0].postprocessed == (7,)
    assert notices(runs) == []
