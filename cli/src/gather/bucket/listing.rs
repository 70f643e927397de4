//! Which objects can hold records of a window.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectMeta, ObjectStore, Result, path::Path};

use super::place::Place;
use crate::gather::window::Window;

/// Folders that are listed at once.
const AT_ONCE: usize = 8;
/// Clocks differ; and a shipper that files by the hour does so by the first record of a file.
const MARGIN: i64 = 60;
const HOUR_MARGIN: i64 = 15 * 60;

/// What is looked for.
pub(super) struct Wanted {
    pub(super) window: Window,
    /// How long after the window's end records of it may be written.
    pub(super) late: Duration,
}

/// What there is.
pub(super) struct Listing {
    /// In the order of their names.
    pub(super) objects: Vec<ObjectMeta>,
    /// Folders that were listed to the ground.
    pub(super) folders: Vec<String>,
}

impl Wanted {
    /// Can something that was written at this place hold a record of the window?
    fn reaches(&self, place: Place) -> bool {
        let Some((from, to)) = place.seconds() else { return true };
        let second = |ns: u64| i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX);
        let margin = if place.known() >= 5 { MARGIN } else { HOUR_MARGIN };
        let late = i64::try_from(self.late.as_secs()).unwrap_or(i64::MAX);
        let last = second(self.window.end.0).saturating_add(late).saturating_add(MARGIN);
        to.saturating_add(margin) >= second(self.window.start.0) && from <= last
    }

    fn takes(&self, object: &ObjectMeta) -> bool {
        let place = Place::of(object.location.as_ref());
        if place.known() > 0 {
            return self.reaches(place);
        }
        // No time in its name: it cannot hold what came after it was last written.
        let written = object.last_modified.timestamp_nanos_opt().unwrap_or(i64::MAX);
        u64::try_from(written).unwrap_or(0) >= self.window.start.0
    }
}

/// Every object below `roots` that may hold records of the window, however many there are.
pub(super) async fn list(
    store: &dyn ObjectStore,
    roots: &[&str],
    wanted: &Wanted,
) -> Result<Listing> {
    let mut objects = Vec::new();
    let mut folders = BTreeSet::new();
    let mut level: Vec<Path> = roots.iter().map(|root| Path::from(*root)).collect();
    // Level by level, leaving out folders of other times; below an hour everything at once.
    while !level.is_empty() {
        let (ground, inner): (Vec<_>, Vec<_>) =
            level.into_iter().partition(|folder| Place::of(folder.as_ref()).known() >= 4);
        folders.extend(ground.iter().map(Path::to_string));
        let found: Vec<Vec<ObjectMeta>> = stream::iter(ground)
            .map(async |folder| store.list(Some(&folder)).try_collect::<Vec<_>>().await)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        objects.extend(found.into_iter().flatten());
        let found: Vec<_> = stream::iter(inner)
            .map(async |folder| store.list_with_delimiter(Some(&folder)).await)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        level = Vec::new();
        for listed in found {
            objects.extend(listed.objects);
            level.extend(listed.common_prefixes);
        }
        // Beside a folder of ours the top of a bucket may hold anything.
        let ours = |path: &Path| roots.len() == 1 || path.parts_count() > 1 || tells_time(path);
        level.retain(|folder| wanted.reaches(Place::of(folder.as_ref())) && ours(folder));
        objects.retain(|object| ours(&object.location));
    }
    // What tells the layout is no data.
    objects.retain(|object| wanted.takes(object) && !is_manifest(&object.location));
    objects.sort_by(|a, b| a.location.cmp(&b.location));
    objects.dedup_by(|a, b| a.location == b.location);
    Ok(Listing { objects, folders: folders.into_iter().collect() })
}

fn tells_time(path: &Path) -> bool {
    Place::of(path.as_ref()).known() > 0
}

fn is_manifest(path: &Path) -> bool {
    path.parts().any(|part| part.as_ref() == "_speedscale")
}

#[cfg(test)]
mod tests {
    use object_store::{ObjectStoreExt as _, memory::InMemory};
    use weir_rrpair::Timestamp;

    use super::*;

    const NOON: u64 = 1_788_264_000; // 2026-09-01T12:00:00Z

    fn wanted(from_minute: u64, to_minute: u64, late: u64) -> Wanted {
        let at = |minute: u64| Timestamp((NOON + minute * 60) * 1_000_000_000);
        let window = Window { start: at(from_minute), end: at(to_minute) };
        Wanted { window, late: Duration::from_secs(late * 60) }
    }

    async fn names(store: &InMemory, roots: &[&str], wanted: &Wanted) -> Vec<String> {
        let listing = list(store, roots, wanted).await.unwrap();
        listing.objects.into_iter().map(|object| object.location.to_string()).collect()
    }

    async fn store(keys: &[String]) -> InMemory {
        let store = InMemory::new();
        for key in keys {
            store.put(&Path::parse(key).unwrap(), "x".into()).await.unwrap();
        }
        store
    }

    #[tokio::test]
    async fn only_objects_that_can_hold_the_window_are_listed() {
        let day = "year=2026/month=09/day=01";
        let minute = |hour: u64, minute: u64| {
            format!("byoc/{day}/hour={hour:02}/minute={minute:02}/logs_1.json")
        };
        let mut keys: Vec<String> =
            (0..24).flat_map(|hour| (0..60).map(move |m| minute(hour, m))).collect();
        keys.push("byoc/year=2025/month=09/day=01/hour=12/minute=00/logs_1.json".into());
        keys.push("byoc/_speedscale/byoc-layout.json".into());
        keys.push(format!("byoc/namespace=a/app=b/{day}/hour=12/minute=01/logs_1.json"));
        let store = store(&keys).await;
        let found = names(&store, &["byoc"], &wanted(0, 2, 3)).await;
        let mut expected: Vec<String> = [(11, 59)].map(|(h, m)| minute(h, m)).to_vec();
        expected.extend((0..=6).map(|m| minute(12, m)));
        expected.insert(0, format!("byoc/namespace=a/app=b/{day}/hour=12/minute=01/logs_1.json"));
        expected.sort();
        assert_eq!(found, expected);
        let folders = list(&store, &["byoc"], &wanted(0, 2, 3)).await.unwrap().folders;
        assert!(folders.contains(&format!("byoc/{day}/hour=12")), "{folders:?}");
        assert!(!folders.iter().any(|folder| folder.contains("hour=15")), "{folders:?}");
    }

    #[tokio::test]
    async fn an_object_without_a_time_in_its_name_is_taken() {
        let store = store(&["loose.json".into(), "2026/09/01/logs_03_00_00.json_1".into()]).await;
        // Written now, in this test, that is after the window.
        assert_eq!(names(&store, &[""], &wanted(0, 1, 0)).await, ["loose.json"]);
        assert_eq!(names(&store, &["byoc", ""], &wanted(0, 1, 0)).await, Vec::<String>::new());
        assert_eq!(names(&store, &["missing"], &wanted(0, 1, 0)).await, Vec::<String>::new());
    }
}
