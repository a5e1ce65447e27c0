//! The store that a subject needs: made for each scenario, gone with it.

pub mod postgres;
pub mod proxy;
pub mod wire;

use std::net::{Ipv4Addr, TcpListener};

/// A free port of the loopback. Another process may take it before it is used; whoever starts a server on it tries again.
pub fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
