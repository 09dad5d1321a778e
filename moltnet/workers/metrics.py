"""What all workers count, as one text: every series once for each worker, by a label of its own."""

from collections.abc import Iterator, Mapping

import attrs
from prometheus_client import Metric as Family
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

LABEL = "worker"


def merged_metrics(texts: Mapping[str, str]) -> str:
    """One text in Prometheus' format of several, by the name of the worker that each is from."""
    return generate_latest(_Merged(texts)).decode()


@attrs.frozen(eq=False)
class _Merged(Collector):
    texts: Mapping[str, str]

    def collect(self) -> Iterator[Family]:
        families: dict[str, Family] = {}
        for worker, text in self.texts.items():
            for family in text_string_to_metric_families(text):
                known = families.setdefault(family.name, Family(family.name, family.documentation, family.type))
                for sample in family.samples:
                    known.samples.append(sample._replace(labels={**sample.labels, LABEL: worker}))
        yield from families.values()
