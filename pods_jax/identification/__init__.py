"""Physical parameters from recordings: reading them, fitting, how sure the estimates are, how well they predict."""

from pods_jax.identification.accuracy import prediction_error
from pods_jax.identification.csv_files import read_recording, write_recording
from pods_jax.identification.estimation import identify
from pods_jax.identification.recording import Recording, differentiated, make_recording
from pods_jax.identification.result import Identification

__all__ = [
    "Identification",
    "Recording",
    "differentiated",
    "identify",
    "make_recording",
    "prediction_error",
    "read_recording",
    "write_recording",
]
