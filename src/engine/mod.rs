//! The engine: one dispatcher that owns the rows, the pace and the totals; workers only speak HTTP.

pub mod ports;
