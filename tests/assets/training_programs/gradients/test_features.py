"""The random projection."""

import torch

from assets.training_programs.gradients.features import BLOCK, project


def test_a_projection_keeps_angles_about_as_they_were() -> None:
    rows = torch.nn.functional.normalize(torch.randn(6, BLOCK + 100, generator=torch.Generator().manual_seed(1)), dim=1)
    found = project(rows, 4096, seed=0)
    assert torch.allclose(found @ found.T, rows @ rows.T, atol=0.1)


def test_the_same_seed_gives_the_same_projection_and_another_another() -> None:
    rows = torch.ones(1, 50)
    assert torch.equal(project(rows, 64, 3), project(rows, 64, 3))
    assert not torch.equal(project(rows, 64, 3), project(rows, 64, 4))


def test_it_is_a_matrix_of_signs() -> None:
    found = project(torch.eye(20), 64, seed=0) * 8
    assert torch.equal(found.abs(), torch.ones(20, 64))
