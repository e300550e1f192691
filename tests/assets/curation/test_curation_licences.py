"""Licence names and expressions."""

import pytest

from headwater.assets.curation.licences import normalise_licence, permits


@pytest.mark.parametrize(
    ("name", "spdx"),
    [
        ("mit", "MIT"),
        ("The MIT License (MIT)", "MIT"),
        ("License :: OSI Approved :: Apache Software License", "Apache-2.0"),
        ("Apache License, Version 2.0", "Apache-2.0"),
        ("BSD 3-Clause License", "BSD-3-Clause"),
        ("New BSD", "BSD-3-Clause"),
        ("BSD", "BSD"),
        ("License :: OSI Approved :: GNU General Public License v3 or later (GPLv3+)", "GPL-3.0-or-later"),
        ("GPLv2", "GPL-2.0-only"),
        ("Mozilla Public License 2.0 (MPL 2.0)", "MPL-2.0"),
        ("mit or (apache-2.0 and bsd-3-clause)", "MIT OR (Apache-2.0 AND BSD-3-Clause)"),
        ("  Some Own Terms ", "Some Own Terms"),
        ("UNKNOWN", None),
        ("", None),
        (None, None),
    ],
)
def test_names_are_brought_to_spdx(name, spdx):
    assert normalise_licence(name) == spdx
    assert normalise_licence(spdx) == spdx


@pytest.mark.parametrize(
    ("expression", "permitted"),
    [
        ("MIT", True),
        ("GPL-3.0-only", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("GPL-3.0-only AND MIT OR MIT", True),
        ("GPL-3.0-only AND (MIT OR MIT)", False),
        ("MIT WITH Some-exception AND MIT", True),
        ("MIT OR", False),
        ("(MIT", False),
        ("Some Own Terms", False),
    ],
)
def test_expressions_are_permitted_by_allowed_licences_alone(expression, permitted):
    assert permits(expression, lambda name: name == "MIT") is permitted
