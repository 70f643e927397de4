//! TLS of the clients.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use hyper_rustls::ConfigBuilderExt as _;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

/// Trusts the authorities of `ca_file` in place of the system's. Without TLS (`used` is false)
/// nothing is read.
pub(crate) fn config(used: bool, ca_file: Option<&Path>) -> anyhow::Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    if !used {
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let Some(path) = ca_file else {
        let builder = builder.with_native_roots().context("read the system's certificates")?;
        return Ok(builder.with_no_client_auth());
    };
    let read = || format!("read certificates from {}", path.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).with_context(read)? {
        roots.add(certificate.with_context(read)?).with_context(read)?;
    }
    if roots.is_empty() {
        bail!("{} holds no certificate", path.display());
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
