from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from services.clustering import Matrix

ROWS = np.arange(3000, dtype=np.float32).reshape(300, 10)


def test_rows_come_back_in_the_order_asked_for_from_memory_and_from_a_file(tmp_path: Path) -> None:
    ROWS.tofile(path := tmp_path / "rows.f32")
    wanted = np.array([7, 2, 2, 299])
    for matrix in (Matrix.of(ROWS), Matrix.in_file(path, ROWS.shape)):
        assert matrix.rows(wanted).tolist() == ROWS[wanted].tolist()
        assert len(matrix) == 300


def test_a_matrix_in_a_file_travels_to_another_process_as_its_path(tmp_path: Path) -> None:
    ROWS.tofile(path := tmp_path / "rows.f32")
    sent = pickle.dumps(Matrix.in_file(path, ROWS.shape))
    assert len(sent) < 500
    assert pickle.loads(sent).rows(np.array([1])).tolist() == [ROWS[1].tolist()]


def test_a_file_of_another_shape_is_refused(tmp_path: Path) -> None:
    ROWS.tofile(path := tmp_path / "rows.f32")
    with pytest.raises(ValueError, match="bytes"):
        Matrix.in_file(path, (300, 11))
    with pytest.raises(ValueError, match="axes"):
        Matrix.of(np.zeros(3))
