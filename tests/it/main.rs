//! The program as a whole: the real binary, real sockets, real files. Order and counts are asserted, never seconds.

mod answers;
mod architecture;
mod cut;
mod disk;
mod exits;
mod harness;
mod hostile;
mod inputs;
mod killed;
mod limits;
mod locks;
mod network;
mod plans;
mod readme;
mod reliability;
mod reports;
mod resume;
mod scale;
mod secrets;
mod signals;
mod smoke;
mod tls;
mod tokens;
mod trouble;
mod variables;
