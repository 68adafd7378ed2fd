//! A process is stopped between closing the shards of a stream and saying that it has ended. Others open children
//! of the shards and write to them; when the first one goes on, it ends the stream with them or not at all.

use zenobe_model::operation::StreamViewType;

use super::processes::*;
use super::reading::*;
use super::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 6)]
async fn what_others_wrote_meanwhile_is_in_the_stream() {
    let (store, faults) = HoldUp::over_store(b"Music");
    let one = Process::start(&store).await;
    let mut other = Process::start(&store).await;
    create_table(&one.db, create("Music", "pk:S", "H:pk")).await.unwrap();
    one.until_active("Music").await;
    let request = set_stream("Music", Some(StreamViewType::NewImage));
    let arn = update_table(&one.db, request).await.unwrap().latest_stream_arn.unwrap();
    one.until_active("Music").await;
    put(&one.db, "Music", "pk=1").await.unwrap();
    put(&other.db, "Music", "pk=2").await.unwrap();

    other.halt().await;
    faults.begin();
    let db = other.db.clone();
    let end = tokio::spawn(async move { update_table(&db, set_stream("Music", None)).await });
    faults.until_waiting().await;
    let written = ["pk=3", "pk=4", "pk=5", "pk=6"];
    for item in written {
        put(&one.db, "Music", item).await.unwrap();
    }
    faults.let_go();
    let end = end.await.unwrap();
    assert_eq!(message(end), "The service is currently unavailable or busy.");
    let found: Vec<String> = read_all(&one.db, &arn).await.iter().map(text).collect();
    assert_eq!(found.len(), 6, "{found:?}");

    other.resume();
    update_table(&other.db, set_stream("Music", None)).await.unwrap();
    assert_eq!(read_all(&one.db, &arn).await.len(), 6);
}
