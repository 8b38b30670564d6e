//! The engine on real directories, from outside: what an operator, a crash or a dying drive does to it.

mod degraded;
mod faults;
mod fixture;
mod power_cut;
mod red;
mod restart;
mod scene;
