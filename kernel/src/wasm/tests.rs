//! Whole programs, in WAT, run in a VM.
