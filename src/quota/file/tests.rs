use super::*;
use std::os::unix::fs::PermissionsExt;

const KEY: &str = "slack.com E1 admin.users.session.invalidate";

fn now() -> Timestamp {
    Timestamp::from_millis(1_000_000)
}

fn later(seconds: i64) -> Timestamp {
    Timestamp::from_millis(now().as_millis() + seconds * 1000)
}

async fn closed_for(store: &mut FileStore) -> Result<u64, Box<str>> {
    store.step(KEY, |record, now| record.closed_for(now)).await
}

async fn close(store: &mut FileStore, until: Timestamp) {
    store.step(KEY, |record, now| record.close(until, now)).await.unwrap();
}

fn the_file(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).unwrap();
    let path = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    path
}

#[test]
fn the_folder_is_systemds_or_the_users() {
    for (variables, want) in [
        (&[("STATE_DIRECTORY", "/var/lib/x:/var/lib/y"), ("HOME", "/root")][..], Some("/var/lib/x/limits")),
        (&[("XDG_STATE_HOME", "/s"), ("HOME", "/home/u")], Some("/s/slack-revoke/limits")),
        (&[("XDG_STATE_HOME", "relative"), ("HOME", "/home/u")], Some("/home/u/.local/state/slack-revoke/limits")),
        (&[("HOME", "")], None),
        (&[], None),
    ] {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        assert_eq!(folder(variable), want.map(PathBuf::from), "{variables:?}");
    }
}

#[tokio::test]
async fn what_is_kept_is_there_for_the_next_process_and_for_nobody_else() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("a/b");
    close(&mut FileStore::new(folder.clone(), now), later(30)).await;
    let mut next = FileStore::new(folder.clone(), || later(10));
    assert_eq!(closed_for(&mut next).await, Ok(20_000));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&the_file(&folder))), (0o700, 0o600));
    assert_eq!(next.look("slack.com E1").len(), 1);
    assert_eq!(next.look("slack.com E2").len(), 0);
}

#[tokio::test]
async fn whatever_is_in_the_file_a_pause_that_can_be_read_stays() {
    let place = tempfile::tempdir().unwrap();
    let mut store = FileStore::new(place.path().to_owned(), now);
    close(&mut store, later(30)).await;
    let path = the_file(place.path());
    let whole = fs::read(&path).unwrap();
    let pause = whole.windows(2).position(|bytes| bytes == b"},").unwrap() + 1;
    let junk = |tail: &[u8]| [&whole[..whole.len() - 1], tail].concat();
    for (content, left) in [
        ([&*whole, b"]}the end of a longer record"].concat(), 30_000),
        (junk(b"\0\0\0"), 30_000),
        (whole[..pause].to_vec(), 30_000),
        (whole[..pause - 5].to_vec(), 0),
        (b"{}".to_vec(), 0),
        (b"\xff\xfe not a record".to_vec(), 0),
        (Vec::new(), 0),
    ] {
        fs::write(&path, &content).unwrap();
        assert_eq!(closed_for(&mut store).await, Ok(left), "{:?}", String::from_utf8_lossy(&content));
        assert!(!BucketRecord::decode(&fs::read(&path).unwrap()).1, "it can be read now");
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(closed_for(&mut store).await, Ok(0));
}

#[tokio::test]
async fn a_place_that_cannot_be_used_is_an_error_that_names_it() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = closed_for(&mut FileStore::new(file, now)).await.unwrap_err();
    assert!(error.contains("can't open") && error.contains("file/slack.com_E1_admin"), "{error}");
}

#[tokio::test]
async fn a_process_that_holds_the_lock_is_not_waited_for_forever() {
    let place = tempfile::tempdir().unwrap();
    let mut store = FileStore::new(place.path().to_owned(), now);
    close(&mut store, later(30)).await;
    let holder = File::open(the_file(place.path())).unwrap();
    holder.lock().unwrap();
    assert!(closed_for(&mut store).await.unwrap_err().contains("lock"));
    holder.unlock().unwrap();
    assert_eq!(closed_for(&mut store).await, Ok(30_000));
}
