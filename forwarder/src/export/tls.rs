//! TLS for OTLP/HTTP. (OTLP/gRPC takes the same settings through its own client.)

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use weir_plan::TlsPlan;

use super::BuildClient;

/// Trusts the given authorities instead of the system's, if there are any.
pub(super) fn config(plan: &TlsPlan) -> Result<ClientConfig, BuildClient> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(tls)?;
    let builder = if let Some(pem) = &plan.ca_pem {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.expose().as_bytes()) {
            roots.add(certificate.map_err(tls)?).map_err(tls)?;
        }
        builder.with_root_certificates(roots)
    } else {
        builder.with_native_roots().map_err(tls)?
    };
    match &plan.client_pem {
        None => Ok(builder.with_no_client_auth()),
        Some((chain, key)) => {
            let chain = CertificateDer::pem_slice_iter(chain.expose().as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .map_err(tls)?;
            let key = PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(tls)?;
            builder.with_client_auth_cert(chain, key).map_err(tls)
        }
    }
}

pub(super) fn tls(error: impl std::error::Error + Send + Sync + 'static) -> BuildClient {
    BuildClient::Tls(Box::new(error))
}
