"""What the machines of a cluster offer is counted."""

from inference.cluster.examination import ClusterReport, report
from inference.cluster.version import code_version, engine_resource


def test_engines_of_this_code_are_counted_and_others_named() -> None:
    nodes = [
        {"CPU": 1.0, "anima-bot-0.2.0": 1.0},
        {"CPU": 1.0, engine_resource(): 2.0},
        {engine_resource(): 1.0},
        {"anima-engine-0.1.0-00000000": 4.0},
    ]
    free = {"CPU": 2.0, engine_resource(): 1.0}
    assert report(nodes, free) == ClusterReport(machines=3, engines=3, free=1, other_versions={"0.1.0-00000000": 4})


def test_no_engine_is_free_if_all_are_in_use() -> None:
    assert report([{engine_resource(): 1.0}], {"CPU": 1.0}).free == 0
    assert code_version() in engine_resource()
