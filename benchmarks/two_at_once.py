"""Two trainings on the same cores: what each has left, by how long OpenMP's threads spin.

    python -m benchmarks.two_at_once [SST2_SENTENCES] [--rows 320] [--rounds 3] [--spins 300000 15000]

refit's own training (way C of benchmarks/train_speed.py) alone and then twice at once, each in a
fresh process, for every spin count in turn. 300000 is the library's own count, 15000 is ours.
"""

import argparse
import os
import statistics
from concurrent.futures import ThreadPoolExecutor

from benchmarks.train_speed import in_a_child, parser_of


def main() -> None:
    """Run all rounds and print samples per second."""
    options = parse()
    alone: dict[int, list[float]] = {count: [] for count in options.spins}
    together: dict[int, list[float]] = {count: [] for count in options.spins}
    for _ in range(options.rounds):
        for count in options.spins:
            os.environ["GOMP_SPINCOUNT"] = str(count)
            alone[count] += run_at_once(options, 1)
            together[count].append(sum(run_at_once(options, 2)))
            print(f"{count}: {alone[count][-1]:.1f}, {together[count][-1]:.1f}", flush=True)
    print(f"\n{'spin count':>10}{'alone':>8}{'two, together':>15}   samples/s, median")
    for count in options.spins:
        middle = statistics.median(alone[count]), statistics.median(together[count])
        print(
            f"{count:>10}{middle[0]:>8.1f}{middle[1]:>15.1f}   {middle[1] / middle[0]:.2f} of one"
        )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of(__doc__, rows=320, rounds=3)
    parser.add_argument("--spins", type=int, nargs="+", default=[300_000, 15_000])
    return parser.parse_args()


def run_at_once(options: argparse.Namespace, count: int) -> list[float]:
    """Samples per second of each of `count` trainings that begin together."""
    with ThreadPoolExecutor(count) as pool:
        runs = [pool.submit(in_a_child, "C", options) for _ in range(count)]
        return [run.result()["samples_per_s"] for run in runs]


if __name__ == "__main__":
    main()
