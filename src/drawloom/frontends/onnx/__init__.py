"""ONNX models become graphs."""

from __future__ import annotations

from drawloom.frontends.onnx.read import read_onnx, steering_inputs

__all__ = ["read_onnx", "steering_inputs"]
