//! The program as a whole: the real binary, real sockets, real files. Order and counts are asserted, never seconds.

mod answers;
mod harness;
mod inputs;
mod readme;
mod smoke;
