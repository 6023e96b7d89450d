//! What a server leaves behind on the database when it has drained.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bson::Bson;
use forge::mongodb::Client;
use forge::mongodb::event::EventHandler;
use forge::mongodb::event::command::CommandEvent;
use forge::mongodb::options::ClientOptions;
use forge_mongo::OfficialDriver;
use forge_tests::engine::{URI_VARIABLE, random, skip_without_server};
use forge_tests::server::TestServer;
use serde_json::json;

/// The cursors of change streams that were opened and not killed.
#[derive(Default)]
struct Cursors(Mutex<(BTreeSet<i64>, usize)>);

impl Cursors {
    fn hear(&self, event: CommandEvent) {
        if matches!(&event, CommandEvent::Started(event) if event.command_name == "killCursors") {
            // A server that is not near: who does not wait for the answer does not have it.
            std::thread::sleep(Duration::from_millis(200));
        }
        let (mut open, id) = (self.0.lock().unwrap(), |id: &Bson| id.as_i64().unwrap_or(0));
        match event {
            CommandEvent::Succeeded(event) if event.command_name == "aggregate" => {
                let cursor =
                    event.reply.get_document("cursor").ok().and_then(|cursor| cursor.get("id")).map(id);
                open.0.extend(cursor.filter(|id| *id != 0));
            }
            CommandEvent::Succeeded(event) if event.command_name == "killCursors" => {
                for killed in event.reply.get_array("cursorsKilled").unwrap() {
                    open.1 += usize::from(open.0.remove(&id(killed)));
                }
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_drain_ends_after_the_servers_cursors() {
    let Ok(uri) = std::env::var(URI_VARIABLE) else { return skip_without_server() };
    let cursors = Arc::new(Cursors::default());
    let mut options = ClientOptions::parse(&uri).await.unwrap();
    let heard = cursors.clone();
    options.command_event_handler = Some(EventHandler::callback(move |event| heard.hear(event)));
    let client = Client::with_options(options).unwrap();
    let name = format!("tdrain_{:08x}", random() as u32);
    let driver = OfficialDriver::with_client(client, Some(&name)).await.unwrap();
    let mut server = TestServer::on(Arc::new(driver)).await;
    let mut socket = server.socket().await;
    socket.follow(1, "note_count", json!({ "board": "b" })).await;
    assert_eq!(cursors.0.lock().unwrap().0.len(), 1, "the change stream is open");
    drop(socket);
    server.stop();
    server.ended().await.unwrap();
    let left = cursors.0.lock().unwrap();
    assert_eq!((left.0.len(), left.1), (0, 1), "cursors that are left, and that were killed");
}
