//! The program as a whole: the real binary, real sockets, real files. Order and counts are asserted, never seconds.

mod answers;
mod architecture;
mod exits;
mod harness;
mod inputs;
mod limits;
mod plans;
mod readme;
mod reports;
mod smoke;
mod tokens;
mod variables;
