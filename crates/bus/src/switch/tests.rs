//! The switch from outside: bytes in, bytes out.

mod bytes;
mod cache;
mod faults;
mod fleet;
mod fleet_storm;
mod local;
mod plain;
mod plain_storm;
mod replies;
mod requests;
mod world;
