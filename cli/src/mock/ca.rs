//! An authority of our own, so that a client speaks TLS with us instead of the real host.
//!
//! Made once and kept with its key, which only its owner may read: who trusts it once need not do
//! so again for every run.

use std::{
    collections::HashMap,
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use weir_rrpair::Timestamp;

const CERTIFICATE: &str = "ca.pem";
const KEY: &str = "ca-key.pem";
/// Some clients refuse certificates that hold for more than 398 days.
const LEAF_DAYS: i64 = 300;
/// Hosts whose certificates are kept.
const MAX_HOSTS: usize = 1_000;

pub(super) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    /// One key for all hosts.
    key: KeyPair,
    now: Timestamp,
    directory: PathBuf,
    configs: Mutex<HashMap<String, Arc<ServerConfig>>>,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Ca {
    /// Reads the authority in `directory`, or makes one there.
    pub(super) fn load_or_make(directory: &Path, now: Timestamp) -> anyhow::Result<Self> {
        let key_file = directory.join(KEY);
        let certificate = directory.join(CERTIFICATE);
        let key = match fs::read_to_string(&key_file) {
            Ok(text) => {
                if !certificate.is_file() {
                    bail!("{} is missing beside its key {KEY}", certificate.display());
                }
                KeyPair::from_pem(&text)
                    .with_context(|| format!("read the key {}", key_file.display()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let making = || format!("make an authority in {}", directory.display());
                make(directory, now).with_context(making)?
            }
            Err(error) => {
                return Err(error).with_context(|| format!("read {}", key_file.display()));
            }
        };
        Ok(Self {
            issuer: Issuer::new(authority(now), key),
            key: KeyPair::generate().context("make a key")?,
            now,
            directory: directory.to_owned(),
            configs: Mutex::default(),
        })
    }

    /// What clients must trust.
    pub(super) fn certificate(&self) -> PathBuf {
        self.directory.join(CERTIFICATE)
    }

    /// TLS as `host`.
    pub(super) fn config(&self, host: &str) -> anyhow::Result<Arc<ServerConfig>> {
        let mut configs = self.configs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = configs.get(host) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.issue(host)?);
        if configs.len() >= MAX_HOSTS {
            configs.clear(); // whoever asks for so many names gets them slowly
        }
        configs.insert(host.to_owned(), Arc::clone(&config));
        Ok(config)
    }

    fn issue(&self, host: &str) -> anyhow::Result<ServerConfig> {
        let mut leaf = CertificateParams::new([host.to_owned()])
            .with_context(|| format!("{host:?} cannot be in a certificate"))?;
        leaf.distinguished_name.push(DnType::CommonName, "weir mock");
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.use_authority_key_identifier_extension = true;
        hold(&mut leaf, self.now, LEAF_DAYS);
        let certificate = leaf.signed_by(&self.key, &self.issuer).context("sign a certificate")?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

fn make(directory: &Path, now: Timestamp) -> anyhow::Result<KeyPair> {
    let key = KeyPair::generate()?;
    let certificate = authority(now).self_signed(&key)?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    fs::write(directory.join(CERTIFICATE), certificate.pem())?;
    // The key comes last: without it everything is made anew.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(directory.join(KEY))?;
    file.write_all(key.serialize_pem().as_bytes())?;
    Ok(key)
}

/// Its name is always the same, so that an issuer can be had from the key alone.
fn authority(now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "weir mock, an authority of this machine");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    hold(&mut params, now, 3_650);
    params
}

/// Midnight of the day so many days from `now`, as year, month and day.
fn day(now: Timestamp, days: i64) -> (i32, u8, u8) {
    let seconds = i64::try_from(now.0 / 1_000_000_000).unwrap_or_default();
    let time = jiff::Timestamp::from_second(seconds + days * 86_400).unwrap_or_default();
    let date = time.to_zoned(jiff::tz::TimeZone::UTC).date();
    (
        date.year().into(),
        u8::try_from(date.month()).unwrap_or(1),
        u8::try_from(date.day()).unwrap_or(1),
    )
}

/// Lets a certificate hold from yesterday until so many days from now.
fn hold(params: &mut CertificateParams, now: Timestamp, days: i64) {
    let (year, month, date) = day(now, -1);
    params.not_before = date_time_ymd(year, month, date);
    let (year, month, date) = day(now, days);
    params.not_after = date_time_ymd(year, month, date);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// 2026-09-01T10:00:00Z.
    const NOW: Timestamp = Timestamp(1_788_256_800_000_000_000);

    #[test]
    fn the_authority_is_made_once_and_its_key_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("a/b");
        let ca = Ca::load_or_make(&directory, NOW).unwrap();
        let first = fs::read(ca.certificate()).unwrap();
        let again = Ca::load_or_make(&directory, NOW).unwrap();
        assert_eq!(fs::read(again.certificate()).unwrap(), first);
        let mode = fs::metadata(directory.join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let one = again.config("api.example").unwrap();
        assert!(Arc::ptr_eq(&one, &again.config("api.example").unwrap()));
        again.config("127.0.0.1").unwrap();
        again.config("::1").unwrap();
    }

    #[test]
    fn damaged_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(KEY), "no key").unwrap();
        let refused = |folder: &Path| Ca::load_or_make(folder, NOW).unwrap_err().to_string();
        assert!(refused(folder.path()).contains("ca.pem is missing beside its key"));
        fs::write(folder.path().join(CERTIFICATE), "").unwrap();
        assert!(refused(folder.path()).contains("ca-key.pem"));
    }

    #[test]
    fn days_are_counted_over_the_end_of_a_month() {
        assert_eq!(day(NOW, -1), (2026, 8, 31));
        assert_eq!(day(NOW, 300), (2027, 6, 28));
    }
}
