//! Version `v1alpha1` of the three kinds.
//!
//! `tc` and `exp` are also short names of TidbCluster (pingcap.com) and of Argo Rollouts'
//! Experiment, which come first where both are installed: hence the second ones.

mod capture;
mod exporter;
mod policy;
mod reference;

pub use capture::{
    Budget, CaptureDirection, EffectiveCapture, NodeCounts, Protocol, RecordCounts, Sampling,
    TlsMode, TrafficCapture, TrafficCaptureSpec, TrafficCaptureStatus,
};
pub use exporter::{
    Compression, Exporter, ExporterSpec, ExporterStatus, ExporterTls, ExporterTransport,
    ExpressionFilter, Header, HeaderSource, OtlpExporter, Queue, QueueStatus, WhenFull,
};
pub use policy::{
    Action, Detector, DlpPolicy, DlpPolicySpec, DlpPolicyStatus, Enforcement, Pattern, PolicyTest,
    Profile, WhenUndecodable,
};
pub use reference::{
    AllowedNamespaces, NamespaceScope, ObjectReference, SecretKeyReference, SecretReference,
};
