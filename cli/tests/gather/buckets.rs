//! Buckets: what needs none, and real servers of their protocols.

use std::{collections::BTreeMap, env, fs, path::Path, process::Command};

use serde_json::Value;

use crate::{Ended, GOLDEN, base64, curl_with, gather_with, records};

const WINDOW: [&str; 4] =
    ["--start", "2026-09-01T10:00", "--end", "2026-09-01T10:59:59.999999999Z"];

const NO_BUCKET: &str = "hint: is there a bucket";

type Objects = BTreeMap<String, Vec<u8>>;

/// A request of one record, as the Collector writes it; minute and number are the record's.
fn request(golden: &Value, number: u64, minute: u64) -> Vec<u8> {
    let mut request = golden.clone();
    let log = request.pointer_mut("/resourceLogs/0/scopeLogs/0/logRecords/0").unwrap();
    let ns = 1_788_256_800_000_000_000 + minute * 60_000_000_000 + number;
    log["timeUnixNano"] = ns.to_string().into();
    let values = log.pointer_mut("/body/kvlistValue/values").unwrap().as_array_mut().unwrap();
    let uuid = values.iter_mut().find(|field| field["key"] == "uuid").unwrap();
    uuid["value"]["stringValue"] = base64(u128::from(number) + 1).into();
    request.to_string().into_bytes()
}

fn golden() -> Value {
    serde_json::from_slice(&fs::read(format!("{GOLDEN}/http-get-200.otlp.json")).unwrap()).unwrap()
}

/// `count` objects over the hour, some of other hours, and `aside` that are listed with those of
/// the window: enough that the listing takes more than a page, and none that is read.
fn objects(count: u64, aside: u64, name: impl Fn(u64, u64, u64) -> String) -> Objects {
    let golden = golden();
    let mut objects = Objects::new();
    for number in 0..count {
        let minute = number % 60;
        objects.insert(name(10, minute, number), request(&golden, number, minute));
    }
    // Stored three minutes after the window, with one record of it and one after it.
    let mut late = request(&golden, 900_000, 59);
    late.push(b'\n');
    late.extend(request(&golden, 900_001, 63));
    objects.insert(name(11, 3, 1), late);
    let far = [(8, 0, 1), (14, 0, 1)].into_iter().chain((0..aside).map(|number| (11, 30, number)));
    for (hour, minute, number) in far {
        objects.insert(name(hour, minute, number), b"far from the window: never read".to_vec());
    }
    objects
}

/// The Collector's awss3 exporter with the prefix of the charts.
fn by_minute(hour: u64, minute: u64, number: u64) -> String {
    format!(
        "byoc/year=2026/month=09/day=01/hour={hour:02}/minute={minute:02}/logs_{number:06}.json"
    )
}

/// Its azureblob exporter.
fn by_day(hour: u64, minute: u64, number: u64) -> String {
    format!("2026/09/01/logs_{hour:02}_{minute:02}_00.json_{number:06}")
}

/// One server and how it is asked.
struct Server<'a> {
    /// Writes objects, over what is there.
    put: &'a dyn Fn(&Objects),
    arguments: Vec<&'a str>,
    environment: Vec<(&'a str, &'a str)>,
    /// The same with a wrong secret, where the server looks at it.
    wrong: Option<Vec<(&'a str, &'a str)>>,
    /// The same for a bucket that is not there, and what is said then.
    missing: Vec<&'a str>,
    missing_says: &'a str,
    name: fn(u64, u64, u64) -> String,
}

impl Server<'_> {
    fn gather(&self, out: &Path, more: &[&str]) -> Ended {
        let mut arguments = self.arguments.clone();
        arguments.extend(["--out-dir", out.to_str().unwrap()]);
        arguments.extend(WINDOW);
        arguments.extend(more);
        gather_with(&self.environment, &arguments)
    }

    fn check(&self, aside: u64) {
        // More than come at once, and few: some of these servers take milliseconds for each.
        let count = 300;
        (self.put)(&objects(count, aside, self.name));
        let folder = tempfile::tempdir().unwrap();
        let out = |name: &str| folder.path().join(name);
        let all = self.gather(&out("all"), &[]);
        let total = count + 1;
        assert_eq!(all.code, Some(0), "{}", all.stderr);
        assert!(all.stderr.contains(&format!("wrote {total} RRPairs to ")), "{}", all.stderr);
        let found = records(&out("all"));
        assert_eq!(found.len() as u64, total);
        let instances: std::collections::BTreeSet<String> = found
            .iter()
            .map(|record| record["signature"]["instance"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(instances.len() as u64, total, "every record has an instance of its own");
        let metadata = fs::read(out("all").join(".metadata/snapshot.json")).unwrap();
        let metadata: Value = serde_json::from_slice(&metadata).unwrap();
        assert_eq!(metadata["objectCount"], total);
        assert_eq!(metadata["rrpairCount"], total);

        // All but `instance` is what the contract has.
        let mut expected: Value =
            serde_json::from_slice(&fs::read(format!("{GOLDEN}/http-get-200.json")).unwrap())
                .unwrap();
        expected["signature"]["instance"] = found[0]["signature"]["instance"].clone();
        expected["uuid"] = found[0]["uuid"].clone();
        assert_eq!(found[0], expected);

        let prompt = self.gather(&out("prompt"), &["--late", "1m"]);
        assert!(prompt.stderr.contains(&format!("wrote {count} RRPairs to ")), "{}", prompt.stderr);
        let other = self.gather(&out("other"), &["--service", "other"]);
        assert_eq!(other.code, Some(1), "{}", other.stderr);
        assert!(
            other.stderr.contains("none that the window and the filters take"),
            "{}",
            other.stderr
        );
        let dry = self.gather(&out("dry"), &["--dry-run"]);
        assert_eq!(dry.code, Some(0), "{}", dry.stderr);
        assert!(dry.stderr.contains(&format!("{total} objects of ")), "{}", dry.stderr);
        let elsewhere = self.gather(&out("elsewhere"), &["--prefix", "no/such/folder"]);
        assert_eq!(elsewhere.code, Some(1), "{}", elsewhere.stderr);
        assert!(elsewhere.stderr.contains("no object of the window"), "{}", elsewhere.stderr);
        assert!(!out("dry").exists() && !out("other").exists() && !out("elsewhere").exists());

        self.check_damage(count, &out("damage"));
        self.check_refusals(&out("refused"));
    }

    /// One half-written and one damaged object: the first is left out, the second stops the
    /// gather, which goes on once it is whole.
    fn check_damage(&self, count: u64, out: &Path) {
        let whole = request(&golden(), 800_000, 30);
        let name = (self.name)(10, 30, 999_998);
        let cut = (self.name)(10, 20, 999_999);
        let damaged = [b"{\"a\":,}\n".as_slice(), &whole].concat();
        (self.put)(&Objects::from([
            (name.clone(), damaged),
            (cut, whole[..whole.len() / 2].to_vec()),
        ]));
        let stopped = self.gather(out, &[]);
        assert_eq!(stopped.code, Some(1), "{}", stopped.stderr);
        assert!(
            stopped.stderr.contains(&format!("{name}: line 1 is no JSON")),
            "{}",
            stopped.stderr
        );
        assert!(stopped.stderr.contains("--resume"), "{}", stopped.stderr);
        let before = records(out).len() as u64;
        assert!(0 < before && before < count, "{before}");
        (self.put)(&Objects::from([(name, whole)]));
        let ended = self.gather(out, &["--resume"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let total = count + 2;
        assert!(ended.stderr.contains(&format!("wrote {total} RRPairs to ")), "{}", ended.stderr);
        assert_eq!(records(out).len() as u64, total);
    }

    fn check_refusals(&self, out: &Path) {
        let mut arguments = self.missing.clone();
        arguments.extend(["--out-dir", out.to_str().unwrap()]);
        arguments.extend(WINDOW);
        let missing = gather_with(&self.environment, &arguments);
        assert_eq!(missing.code, Some(1), "{}", missing.stderr);
        assert!(missing.stderr.contains(self.missing_says), "{}", missing.stderr);
        let Some(wrong) = &self.wrong else { return };
        let mut arguments = self.arguments.clone();
        arguments.extend(["--out-dir", out.to_str().unwrap()]);
        let refused = gather_with(wrong, &arguments);
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        assert!(refused.stderr.contains("(hint: see "), "{}", refused.stderr);
        assert!(!refused.stderr.contains("canary") && !out.exists(), "{}", refused.stderr);
    }
}

#[test]
fn without_credentials_it_is_exit_2_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    for store in [&["s3", "--bucket", "b"][..], &["gcs", "--bucket", "b"], &["azure"]] {
        let arguments = [store, &["--out-dir", out.to_str().unwrap()]].concat();
        let ended = gather_with(&[], &arguments);
        assert_eq!(ended.code, Some(2), "{store:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("no credentials"), "{}", ended.stderr);
    }
    let odd = [("AZURE_CONNECTION_STRING", "canary")];
    let ended = gather_with(&odd, &["azure", "--out-dir", out.to_str().unwrap()]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    let profile = ["s3", "--bucket", "b", "--profile", "dev", "--out-dir", out.to_str().unwrap()];
    assert!(gather_with(&[], &profile).stderr.contains("there is no profile dev"));
    assert!(!out.exists());
}

#[test]
fn a_server_that_is_not_there_is_exit_1_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    // A port that nobody has: bound, and closed again.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let arguments = ["s3", "--bucket", "b", "--endpoint-url", &url, "--no-sign-request"];
    let ended = gather_with(&[], &[&arguments[..], &["--out-dir", out.to_str().unwrap()]].concat());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("list s3://b"), "{}", ended.stderr);
    assert!(!out.exists());
}

// ---- real servers -------------------------------------------------------------------------------

fn server(variable: &str) -> String {
    env::var(variable).expect("its URL; run `make test-stores`")
}

/// Uploads with one `curl`, several at once.
fn upload(objects: &Objects, url: impl Fn(&str) -> String, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = String::new();
    for (number, (name, content)) in objects.iter().enumerate() {
        let file = folder.path().join(number.to_string());
        fs::write(&file, content).unwrap();
        let (url, file) = (url(name), file.to_str().unwrap());
        config.extend([
            "url = \"",
            &url,
            "\"
upload-file = \"",
            file,
            "\"
output = /dev/null
",
        ]);
    }
    let path = folder.path().join("config");
    fs::write(&path, config).unwrap();
    let ended = Command::new("curl")
        .args(["-sS", "-f", "-Z", "--parallel-max", "8"])
        .args(options)
        .arg("-K")
        .arg(path)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
#[ignore = "needs a server of S3's protocol"]
fn real_s3_gives_every_record_of_every_object() {
    let url = server("WEIR_TEST_S3");
    let sign = [
        "--aws-sigv4",
        "aws:amz:us-east-1:s3",
        "--user",
        "weir-test:weir-secret",
        "-H",
        "x-amz-content-sha256: UNSIGNED-PAYLOAD",
    ];
    let name = format!("weir-test-{}", std::process::id());
    let bucket = format!("{url}/{name}");
    curl_with(&[&sign[..], &["-X", "PUT", &bucket]].concat(), "");
    let environment =
        |secret| vec![("AWS_ACCESS_KEY_ID", "weir-test"), ("AWS_SECRET_ACCESS_KEY", secret)];
    Server {
        // curl signs `=` as it stands, S3 as %3D.
        put: &|objects| {
            upload(objects, |name| format!("{bucket}/{}", name.replace('=', "%3D")), &sign);
        },
        arguments: vec!["s3", "--endpoint-url", &url, "--bucket", &name],
        environment: environment("weir-secret"),
        wrong: Some(environment("canary")),
        missing: vec!["s3", "--endpoint-url", &url, "--bucket", "weir-test-missing"],
        missing_says: NO_BUCKET,
        name: by_minute,
    }
    .check(2_300);
}

/// The emulator lists everything in one answer: that pages are followed is not shown here.
#[test]
#[ignore = "needs a server of Google Cloud Storage's protocol"]
fn real_gcs_gives_every_record_of_every_object() {
    let url = server("WEIR_TEST_GCS");
    let name = format!("weir-test-{}", std::process::id());
    let make = [&format!("{url}/storage/v1/b"), "-H", "Content-Type: application/json"];
    curl_with(&make, serde_json::json!({ "name": name }).to_string());
    let to = |object: &str| {
        format!(
            "{url}/upload/storage/v1/b/{name}/o?uploadType=media&name={}",
            object.replace('=', "%3D")
        )
    };
    Server {
        put: &|objects| upload(objects, to, &["-X", "POST"]),
        arguments: vec!["gcs", "--endpoint-url", &url, "--bucket", &name, "--no-sign-request"],
        environment: Vec::new(),
        wrong: None,
        missing: vec!["gcs", "--endpoint-url", &url, "--bucket", "missing", "--no-sign-request"],
        // The real one answers 404, as S3 does; this one 500.
        missing_says: "no bucket named missing",
        name: by_minute,
    }
    .check(300);
}

#[test]
#[ignore = "needs a server of Azure Blob Storage's protocol"]
fn real_azure_gives_every_record_of_every_blob() {
    let url = server("WEIR_TEST_AZURE");
    let container = format!("weir-test-{}", std::process::id());
    let put = |objects: &Objects| {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in objects {
            fs::write(folder.path().join(name.replace('/', "%2F")), content).unwrap();
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/stores/put_blobs.py");
        let arguments = [script, &url, "d2Vpci10ZXN0", &container, folder.path().to_str().unwrap()];
        let ended = Command::new("python3").args(arguments).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    };
    let account = |key: &str| format!("AccountName=weirtest;AccountKey={key};BlobEndpoint={url}");
    let (right, wrong) = (account("d2Vpci10ZXN0"), account("Y2FuYXJ5"));
    Server {
        put: &put,
        arguments: vec!["azure", "--container", &container],
        environment: vec![("AZURE_CONNECTION_STRING", &right)],
        wrong: Some(vec![("AZURE_CONNECTION_STRING", &wrong)]),
        missing: vec!["azure", "--container", "weir-test-missing"],
        missing_says: NO_BUCKET,
        name: by_day,
    }
    .check(5_100);
}
