//! The program as a whole: the real binary, real sockets, real files. Order and counts are asserted, never seconds.

mod harness;
mod readme;
mod smoke;
