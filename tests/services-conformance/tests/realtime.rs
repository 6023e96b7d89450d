//! Events of services and calls by sockets, over Forge's own protocol.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(missing_docs, reason = "names say what test models are")]

use std::time::Duration;

use forge::prelude::*;
use forge::query::Filter;
use forge::server::auth::Credentials;
use forge::server::databases::RequestHeaders;
use forge::services::{Hooks, Method, Multi, Params, Service};
use forge::{App, Auth};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const CANARY: &str = "canary-7c21";

#[derive(Debug, Clone, Model)]
#[model(collection = "posts")]
pub struct Post {
    #[model(id)]
    pub id: Id<Post>,
    pub text: String,
    #[model(private, default = CANARY)]
    pub secret: String,
}

/// Serves on a port of its own until the test ends.
async fn serve(app: App) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = app.database("memory:").build().await.unwrap();
    tokio::spawn(server.serve(listener, std::future::pending()));
    address.to_string()
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(address: &str, token: Option<&str>) -> Self {
        let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
        if let Some(token) = token {
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let mut client = Self(connect_async(request).await.unwrap().0);
        assert_eq!(client.next().await["op"], "ready");
        client
    }

    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = timeout(Duration::from_secs(30), self.0.next()).await.expect("a frame");
            if let Message::Text(text) = message.unwrap().unwrap() {
                assert!(!text.contains(CANARY), "a private field: {text}");
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// The answer to a call; events that come before it are kept.
    async fn call(&mut self, service: &str, method: &str, more: Value) -> (Value, Vec<Value>) {
        let mut frame = json!({ "op": "call", "id": 1, "service": service, "method": method });
        frame.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.send(frame).await;
        let mut events = Vec::new();
        loop {
            match self.next().await {
                event if event["op"] == "event" => events.push(event),
                answer => return (answer, events),
            }
        }
    }

    /// What comes before the answer to a question that is asked now.
    async fn heard(&mut self) -> Vec<Value> {
        self.call("posts", "find", json!({})).await.1
    }
}

fn names(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    events.iter().map(|event| format!("{} {}", text(&event["event"]), text(&event["data"]["text"]))).collect()
}

fn everybody(app: App) -> App {
    app.on_connection(|connection, channels| channels.channel("everybody").join(connection))
}

#[tokio::test]
async fn sockets_call_every_method_and_failures_are_those_of_rest() {
    let service = Service::<Post>::new()
        .method("shout", |call| async move { Ok(json!({ "data": call.data, "query": call.params.query })) });
    let address = serve(App::new().service(service)).await;
    let mut client = Client::connect(&address, None).await;
    let (created, _) = client.call("posts", "create", json!({ "data": { "text": "a" } })).await;
    let id = created["data"]["id"].clone();
    assert_eq!(created["data"], json!({ "id": id, "text": "a" }));
    let patch = json!({ "document": id, "data": { "text": "b" } });
    assert_eq!(client.call("posts", "patch", patch).await.0["data"]["text"], "b");
    let put = json!({ "document": id, "data": { "text": "c" } });
    assert_eq!(client.call("posts", "update", put).await.0["data"]["text"], "c");
    let found = client.call("posts", "find", json!({ "query": { "text": { "$in": ["c"] } } })).await.0;
    assert_eq!(found["data"].as_array().unwrap().len(), 1);
    let shouted = client.call("posts", "shout", json!({ "data": { "x": 1 }, "query": { "n": 2 } })).await.0;
    assert_eq!(shouted["data"], json!({ "data": { "x": 1 }, "query": { "n": 2 } }));
    for (sent, data) in
        [(json!({ "data": "hey" }), json!("hey")), (json!({ "data": 7 }), json!(7)), (json!({}), json!({}))]
    {
        let shouted = client.call("posts", "shout", sent).await.0;
        assert_eq!(shouted["data"]["data"], data, "a method of its own takes any value");
    }
    assert_eq!(client.call("posts", "remove", json!({ "document": id })).await.0["data"]["id"], id);
    for (service, method, more, code) in [
        ("posts", "get", json!({ "document": id }), 404),
        ("posts", "get", json!({ "document": { "$gt": "" } }), 400),
        ("posts", "patch", json!({ "document": [id], "data": {} }), 400),
        ("posts", "remove", json!({ "document": {} }), 400),
        ("nothing", "find", json!({}), 404),
        ("posts", "drop", json!({}), 405),
        ("posts", "remove", json!({}), 405),
        ("posts", "create", json!({ "data": { "text": "a", "secret": "x" } }), 400),
        ("posts", "create", json!({ "data": 7 }), 400),
        ("posts", "find", json!({ "query": { "secret": "x" } }), 400),
    ] {
        let (answer, _) = client.call(service, method, more).await;
        assert_eq!((&answer["op"], &answer["error"]["code"]), (&json!("error"), &json!(code)), "{answer}");
    }
}

#[tokio::test]
async fn a_panic_is_answered_whatever_the_method() {
    let broken = Hooks::new().before([], |call| async move {
        assert!(call.params.query.is_empty(), "this hook breaks");
        Ok(call)
    });
    let address = serve(App::new().service(Service::<Post>::new().hooks(broken))).await;
    let mut client = Client::connect(&address, None).await;
    let query = json!({ "text": "a" });
    let (data, document) = (json!({ "text": "a" }), "0123456789abcdef01234567");
    for (method, more) in [
        ("find", json!({ "query": query })),
        ("get", json!({ "query": query, "document": document })),
        ("create", json!({ "query": query, "data": data })),
    ] {
        let answer = client.call("posts", method, more).await.0;
        assert_eq!(
            (&answer["op"], &answer["error"]["code"]),
            (&json!("error"), &json!(500)),
            "{method}: {answer}"
        );
    }
    assert_eq!(client.call("posts", "find", json!({})).await.0["data"], json!([]), "the socket goes on");
}

#[tokio::test]
async fn what_happens_to_connections_adds_up() {
    let app = everybody(App::new())
        .on_connection(|connection, channels| channels.channel("others").join(connection))
        .publish_event("created", |_, channels| channels.channel("everybody"))
        .publish_event("removed", |_, channels| channels.channel("others"));
    let address = serve(app.service(Service::<Post>::new())).await;
    let mut client = Client::connect(&address, None).await;
    let (created, events) = client.call("posts", "create", json!({ "data": { "text": "a" } })).await;
    assert_eq!([names(&events), names(&client.heard().await)].concat(), ["created a"]);
    let (_, events) = client.call("posts", "remove", json!({ "document": created["data"]["id"] })).await;
    assert_eq!([names(&events), names(&client.heard().await)].concat(), ["removed a"]);
}

#[tokio::test]
async fn nothing_is_published_unless_a_publisher_says_to_whom() {
    let address = serve(everybody(App::new()).service(Service::<Post>::new())).await;
    let mut client = Client::connect(&address, None).await;
    let (_, events) = client.call("posts", "create", json!({ "data": { "text": "a" } })).await;
    assert_eq!((events, client.heard().await), (vec![], vec![]));
}

#[tokio::test]
async fn every_write_is_told_and_each_document_of_many_by_itself() {
    let app = everybody(App::new()).publish(|_, channels| channels.channel("everybody"));
    let address = serve(app.service(Service::<Post>::new().multi(Multi::ALL))).await;
    let (mut writer, mut other) =
        (Client::connect(&address, None).await, Client::connect(&address, None).await);
    let two = json!({ "data": [{ "text": "a" }, { "text": "b" }] });
    let (created, own) = writer.call("posts", "create", two).await;
    assert_eq!(names(&own), ["created a", "created b"], "the writer hears of it, too");
    let id = &created["data"][0]["id"];
    writer.call("posts", "patch", json!({ "document": id, "data": { "text": "c" } })).await;
    writer.call("posts", "update", json!({ "document": id, "data": { "text": "d" } })).await;
    writer.call("posts", "create", json!({ "data": { "text": "bad", "secret": "x" } })).await;
    writer.call("posts", "remove", json!({ "query": { "text": "d" } })).await;
    let events = other.heard().await;
    assert_eq!(names(&events), ["created a", "created b", "patched c", "updated d", "removed d"]);
    let first = json!({ "op": "event", "service": "posts", "event": "created", "data": created["data"][0] });
    assert_eq!(events[0], first);
}

#[tokio::test]
async fn publishers_choose_by_event_channel_and_connection() {
    let users = async |credentials: Credentials| Ok(credentials.token.map(Auth::new));
    let service = Service::<Post>::new()
        .publish(|event, channels| {
            let owner = event.data["text"].as_str().unwrap_or("").to_owned();
            channels
                .channel("users")
                .filter(move |connection| connection.auth().is_some_and(|auth| auth.subject == owner))
        })
        .publish_event("removed", |_, channels| channels.channel("users").send(json!({ "text": "gone" })));
    let app = App::new().auth(users).service(service);
    let app = app
        .on_connection(|connection, channels| channels.channel("everybody").join(connection))
        .on_login(|connection, channels| channels.channel("users").join(connection))
        .publish(|_, channels| channels.channel("everybody"));
    let address = serve(app).await;
    let mut ann = Client::connect(&address, Some("ann")).await;
    let mut bob = Client::connect(&address, Some("bob")).await;
    let mut nobody = Client::connect(&address, None).await;
    let (created, _) = nobody.call("posts", "create", json!({ "data": { "text": "ann" } })).await;
    assert_eq!(names(&ann.heard().await), ["created ann"]);
    assert_eq!(names(&bob.heard().await), [""; 0]);
    bob.send(json!({ "op": "auth", "token": null })).await;
    assert_eq!(bob.next().await["op"], "ready");
    let (_, own) = nobody.call("posts", "remove", json!({ "document": created["data"]["id"] })).await;
    assert_eq!(names(&own), [""; 0]);
    assert_eq!(names(&ann.heard().await), ["removed gone"]);
    assert_eq!(names(&bob.heard().await), [""; 0], "who signs out has left the channel");
}

#[tokio::test]
async fn events_wait_for_the_commit_and_carry_what_clients_may_see() {
    let service = Service::<Post>::new()
        .events(["alarm"])
        .hooks(Hooks::new().after([Method::Create], |mut call| async move {
            call.dispatch = call.result.as_ref().map(|post| json!({ "text": post["text"], "shown": true }));
            Ok(call)
        }))
        .method("many", |call| async move {
            let fails = call.data.as_ref().is_some_and(|data| data["fails"] == true);
            let services = call.services.clone();
            let done = call.db.transaction(async |tx: Db| {
                let posts = services.service("posts", &tx)?;
                posts.create(json!({ "text": "one" }), Params::default()).await?;
                posts.emit("alarm", json!({ "text": "!" }))?;
                if fails { Err(forge::Error::conflict("undone")) } else { Ok(()) }
            });
            done.await?;
            Ok(json!({}))
        });
    let app = everybody(App::new()).publish(|_, channels| channels.channel("everybody"));
    let address = serve(app.service(service)).await;
    let mut client = Client::connect(&address, None).await;
    let (failed, events) = client.call("posts", "many", json!({ "data": { "fails": true } })).await;
    assert_eq!((&failed["error"]["code"], names(&events)), (&json!(409), vec![]));
    let (_, mut events) = client.call("posts", "many", json!({ "data": {} })).await;
    events.extend(client.heard().await);
    assert_eq!(names(&events), ["created one", "alarm !"]);
    assert_eq!(events[0]["data"], json!({ "text": "one", "shown": true }));
}

#[tokio::test]
async fn a_listed_event_is_the_programs_and_others_cannot_be_made() {
    let service = Service::<Post>::new().events(["created"]).method("tell", |call| async move {
        let posts = call.services.service("posts", &call.db)?;
        assert!(posts.emit("typing", json!({})).is_err());
        posts.emit("created", json!({ "text": "by hand" }))?;
        Ok(json!({}))
    });
    let app = everybody(App::new()).publish(|_, channels| channels.channel("everybody"));
    let address = serve(app.service(service)).await;
    let mut client = Client::connect(&address, None).await;
    client.call("posts", "create", json!({ "data": { "text": "a" } })).await;
    let (_, events) = client.call("posts", "tell", json!({ "data": {} })).await;
    assert_eq!(names(&events), ["created by hand"]);
}

#[tokio::test]
async fn events_of_one_database_never_reach_connections_of_another() {
    let by_token = async |headers: RequestHeaders| {
        Ok(headers.get("authorization").map(|token| token.trim_start_matches("Bearer ").to_owned()))
    };
    let users = async |credentials: Credentials| Ok(credentials.token.map(Auth::new));
    let app = everybody(App::new()).publish(|_, channels| channels.channel("everybody"));
    let app = app.auth(users).databases(by_token).service(Service::<Post>::new());
    let address = serve(app).await;
    let mut red = Client::connect(&address, Some("red")).await;
    let mut blue = Client::connect(&address, Some("blue")).await;
    let mut usual = Client::connect(&address, None).await;
    let (_, own) = red.call("posts", "create", json!({ "data": { "text": "a" } })).await;
    assert_eq!(names(&own), ["created a"]);
    let (_, own) = usual.call("posts", "create", json!({ "data": { "text": "b" } })).await;
    assert_eq!(names(&own), ["created b"]);
    for other in [&mut red, &mut blue, &mut usual] {
        assert_eq!(names(&other.heard().await), [""; 0]);
    }
}

#[tokio::test]
async fn hooks_move_the_connection_that_calls() {
    let service = Service::<Post>::new().method("enter", |call| async move {
        let room = call.data.as_ref().and_then(|data| data["room"].as_str()).unwrap_or("").to_owned();
        if let Some(connection) = &call.params.connection {
            call.services.channels().leave_all(connection);
            call.services.channels().channel(room).join(connection);
        }
        Ok(json!({ "names": call.services.channels().names() }))
    });
    let app =
        App::new().publish(|event, channels| channels.channel(event.data["text"].as_str().unwrap_or("")));
    let address = serve(app.service(service)).await;
    let mut client = Client::connect(&address, None).await;
    client.call("posts", "enter", json!({ "data": { "room": "red" } })).await;
    let (entered, _) = client.call("posts", "enter", json!({ "data": { "room": "blue" } })).await;
    assert_eq!(entered["data"]["names"], json!(["blue"]));
    let mut heard = Vec::new();
    for room in ["red", "blue"] {
        heard.extend(client.call("posts", "create", json!({ "data": { "text": room } })).await.1);
    }
    assert_eq!(names(&heard), ["created blue"]);
}

/// Read by everybody where it is public, and by its author.
#[derive(Debug, Clone, Model)]
#[model(collection = "memos", soft_delete, policy = OwnMemos)]
pub struct Memo {
    #[model(id)]
    pub id: Id<Memo>,
    pub author: String,
    #[model(default)]
    pub public: bool,
    pub text: String,
    #[model(belongs_to(key = author))]
    pub writer: BelongsTo<Writer>,
}

#[derive(Debug, Clone, Model)]
#[model(collection = "writers")]
pub struct Writer {
    #[model(id)]
    pub id: String,
    pub known: bool,
}

pub struct OwnMemos;

impl Policy<Memo> for OwnMemos {
    fn read(caller: &PolicyCtx) -> Result<Filter<Memo>> {
        let me = caller.auth.require()?;
        Ok(match me {
            "root" => Filter::everything(),
            "friend" => Filter::<Memo>::on(|memo| memo.writer.is(|writer| writer.known.eq(true))),
            me => Filter::<Memo>::on(|memo| memo.public.eq(true) | memo.author.eq(me)),
        })
    }

    fn write(_: &PolicyCtx, _: Write<'_, Memo>) -> Result<()> {
        Ok(())
    }
}

fn memos(service: Service<Memo>) -> App {
    let users = async |credentials: Credentials| Ok(credentials.token.map(Auth::new));
    everybody(App::new()).auth(users).service(Service::<Post>::new()).service(service)
}

#[tokio::test]
async fn a_policy_keeps_events_from_those_who_may_not_read_the_document() {
    let app = memos(Service::<Memo>::new().multi(Multi::ALL));
    let address = serve(app.publish(|_, channels| channels.channel("everybody"))).await;
    let mut ann = Client::connect(&address, Some("ann")).await;
    let mut bob = Client::connect(&address, Some("bob")).await;
    let mut friend = Client::connect(&address, Some("friend")).await;
    let mut nobody = Client::connect(&address, None).await;
    let mut root = Client::connect(&address, Some("root")).await;
    let two = json!({ "data": [
        { "author": "ann", "text": "a" },
        { "author": "bob", "text": "b", "public": true },
    ] });
    let (created, own) = root.call("memos", "create", two).await;
    assert_eq!(names(&own), ["created a", "created b"]);
    let id = |index: usize| &created["data"][index]["id"];
    // What is selected for the answer does not decide who hears of it.
    let publish = json!({ "document": id(0), "data": { "public": true }, "query": { "$select": ["text"] } });
    root.call("memos", "patch", publish).await;
    root.call("memos", "patch", json!({ "document": id(1), "data": { "public": false } })).await;
    root.call("memos", "remove", json!({ "document": id(1) })).await;
    root.call("memos", "remove", json!({})).await;
    assert_eq!(names(&ann.heard().await), ["created a", "created b", "patched a", "removed a"]);
    assert_eq!(names(&bob.heard().await), ["created b", "patched a", "patched b", "removed b", "removed a"]);
    assert_eq!(names(&friend.heard().await), [""; 0], "relations cannot be asked for an event");
    assert_eq!(names(&nobody.heard().await), [""; 0], "who is refused hears of nothing");
}

#[tokio::test]
async fn what_hooks_make_of_a_result_does_not_open_it() {
    let reorder = Hooks::new().after([Method::Create], |mut call| async move {
        match call.result.take() {
            Some(Value::Array(mut memos)) => {
                memos.reverse();
                memos.push(json!({ "text": "of nothing" }));
                call.result = Some(memos.into());
            }
            _ => call.result = Some(json!({ "text": "another" })),
        }
        Ok(call)
    });
    let app = memos(Service::<Memo>::new().multi(Multi::ALL).hooks(reorder));
    let address = serve(app.publish(|_, channels| channels.channel("everybody"))).await;
    let mut ann = Client::connect(&address, Some("ann")).await;
    let mut bob = Client::connect(&address, Some("bob")).await;
    let two = json!([{ "author": "ann", "text": "a" }, { "author": "bob", "text": "b" }]);
    let (_, own) = ann.call("memos", "create", json!({ "data": two })).await;
    assert_eq!(names(&own), ["created a"]);
    assert_eq!(names(&bob.heard().await), ["created b"]);
    bob.call("memos", "create", json!({ "data": { "author": "ann", "text": "c" } })).await;
    assert_eq!(names(&bob.heard().await), [""; 0]);
    assert_eq!(names(&ann.heard().await), ["created another"]);
}

#[tokio::test]
async fn a_publisher_that_is_trusted_tells_whom_it_likes() {
    let service = Service::<Memo>::new()
        .events(["due"])
        .publish_event("created", |_, channels| {
            channels.channel("everybody").send(json!({ "text": "there is one more" })).without_policies()
        })
        .method("remind", |call| async move {
            call.services.service("memos", &call.db)?.emit("due", json!({ "text": "soon" }))?;
            Ok(json!({}))
        });
    let app = memos(service).publish(|_, channels| channels.channel("everybody"));
    let address = serve(app).await;
    let mut ann = Client::connect(&address, Some("ann")).await;
    let mut bob = Client::connect(&address, Some("bob")).await;
    let create = json!({ "data": { "author": "ann", "text": "a" } });
    let (created, _) = ann.call("memos", "create", create).await;
    ann.call("memos", "patch", json!({ "document": created["data"]["id"], "data": { "text": "b" } })).await;
    ann.call("memos", "remind", json!({ "data": {} })).await;
    assert_eq!(names(&bob.heard().await), ["created there is one more", "due soon"]);
}

#[tokio::test]
async fn hooks_change_the_event_of_a_call_or_keep_it_silent() {
    let hooks = Hooks::new().after([], |mut call| async move {
        let text = call.result.as_ref().and_then(|post| post["text"].as_str()).unwrap_or("").to_owned();
        match text.as_str() {
            "silent" => call.event = None,
            "other" => call.event = Some("archived".into()),
            _ => assert_eq!(call.event.as_deref(), Some("created").filter(|_| call.method == Method::Create)),
        }
        if call.method == Method::Get {
            call.event = Some("viewed".into());
        }
        Ok(call)
    });
    let app = everybody(App::new()).publish(|_, channels| channels.channel("everybody"));
    let address = serve(app.service(Service::<Post>::new().hooks(hooks))).await;
    let mut client = Client::connect(&address, None).await;
    let mut heard = Vec::new();
    let mut id = Value::Null;
    for text in ["silent", "other", "usual"] {
        let (made, events) = client.call("posts", "create", json!({ "data": { "text": text } })).await;
        id = made["data"]["id"].clone();
        heard.extend(events);
    }
    heard.extend(client.call("posts", "get", json!({ "document": id })).await.1);
    heard.extend(client.heard().await);
    assert_eq!(names(&heard), ["archived other", "created usual", "viewed usual"]);
}

#[tokio::test]
async fn sockets_order_by_several_fields() {
    let address = serve(App::new().service(Service::<Post>::new())).await;
    let mut client = Client::connect(&address, None).await;
    for text in ["b", "a", "c"] {
        client.call("posts", "create", json!({ "data": { "text": text } })).await;
    }
    // The text of a frame has an order, which a JSON value of this test would not keep.
    for (sort, expected) in
        [("\"text\":-1,\"id\":1", ["c", "b", "a"]), ("\"id\":-1,\"text\":1", ["c", "a", "b"])]
    {
        let frame = format!(
            r#"{{"op":"call","id":2,"service":"posts","method":"find","query":{{"$sort":{{{sort}}}}}}}"#
        );
        client.0.send(Message::text(frame)).await.unwrap();
        let found = client.next().await;
        let texts: Vec<_> =
            found["data"].as_array().unwrap().iter().map(|post| post["text"].clone()).collect();
        assert_eq!(texts, expected, "{sort}");
    }
}
