//! How a bucket is reached: what S3 and Google Cloud Storage have in common.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::transport::Transport;

/// Where a bucket is and who asks for it.
#[derive(Args, Debug)]
pub(super) struct Access {
    /// Address of another service with this protocol, such as http://localhost:9000.
    #[arg(long, value_name = "URL")]
    pub(super) endpoint_url: Option<String>,
    /// Without credentials: the bucket is public.
    #[arg(long)]
    pub(super) no_sign_request: bool,
    /// Take the credentials of the machine that this runs on (EC2, GCE).
    #[arg(long)]
    instance_credentials: bool,
    /// PEM file of the authorities to trust in place of the system's.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl Access {
    pub(super) fn transport(&self) -> anyhow::Result<Transport> {
        Transport::new(self.ca_file.as_deref())
    }

    /// Is there anything to sign with, or is nothing to be signed? `found` says whether the
    /// environment has credentials, `usual` how to give them.
    pub(super) fn check(&self, found: bool, usual: &str) -> anyhow::Result<()> {
        if found || self.no_sign_request || self.instance_credentials {
            return Ok(());
        }
        bail!("no credentials: set {usual}, --instance-credentials or --no-sign-request");
    }
}
