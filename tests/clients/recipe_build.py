"""Build a package from ``recipe.yaml`` with py-rattler-build, as a process of its own.

``python recipe_build.py RECIPE CHANNEL OUTPUT FORMAT``; the channel is only asked for dependencies.
"""

from __future__ import annotations

import sys
import warnings

import rattler_build


def main(recipe: str, channel: str, output: str, package_format: str) -> None:
    warnings.simplefilter("ignore", DeprecationWarning)
    rattler_build.build_recipes(
        [recipe],
        output_dir=output,
        package_format=package_format,
        test="skip",
        channel=[channel],
    )


if __name__ == "__main__":
    main(*sys.argv[1:5])
