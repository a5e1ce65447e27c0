//! TLS, where the URL asks for it.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::store::StoreError;

/// Trusts the roots in the file, or the system's.
pub fn config(roots: Option<&Path>) -> Result<ClientConfig, StoreError> {
    let store = match roots {
        Some(path) => from_file(path)?,
        None => {
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            store
        }
    };
    if store.is_empty() {
        return Err(StoreError::Refused(
            "the system has no root certificates: install them, or name a file in `tls_roots`".into(),
        ));
    }
    // Named, so that it does not matter what other libraries of the process have chosen.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| StoreError::Refused(format!("TLS: {error}")))?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

fn from_file(path: &Path) -> Result<RootCertStore, StoreError> {
    let refused = |why: String| StoreError::Refused(format!("`tls_roots` {}: {why}", path.display()));
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refused(error.to_string()))? {
        let certificate = certificate.map_err(|error| refused(error.to_string()))?;
        store.add(certificate).map_err(|error| refused(error.to_string()))?;
    }
    if store.is_empty() { Err(refused("no certificate in it".into())) } else { Ok(store) }
}
