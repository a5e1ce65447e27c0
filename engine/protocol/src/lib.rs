#![no_std]
//! The pure core of the engine: what one transaction may change, and what a worker does next.
