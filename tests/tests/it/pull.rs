//! Pull: awkward documents become models that compile and fit the database.

use std::path::{Path, PathBuf};
use std::process::Command;

use bson::oid::ObjectId;
use bson::{Bson, Document, bson, doc};
use forge::ErrorCode;
use forge::adapter::{PullSettings, PulledFile};
use forge_mongo::Driver as _;
use forge_tests::{Fixture, Result, conformance};

fn id(n: u8) -> ObjectId {
    ObjectId::from_bytes([n; 12])
}

fn at(seconds: i64) -> Bson {
    bson::DateTime::from_millis(seconds * 1_000).into()
}

fn airport(code: &str) -> Document {
    doc! {
        "_id": code, "name": format!("{code} field"), "location": { "type": "Point", "coordinates": [-122.5, 45.6] },
        "id": 7, "elevation": 10,
    }
}

fn log(n: i32) -> Document {
    let mut log = doc! {
        "_id": id(n as u8 + 1), "type": "arrival", "self": n, "2nd": true, "first-name": "Ada", "HTTPCode": 200,
        "createdAt": at(1), "updatedAt": at(2), "airport_code": if n % 2 == 0 { "PDX" } else { "SLE" },
        "crewId": id(200), "home": { "zipCode": "97", "floor": if n == 0 { Bson::Null } else { n.into() } },
        "legs": [{ "from": "PDX", "minutes": 5_i64 }, { "from": "SLE" }], "tags": ["a", "b"], "none": [], "nil": Bson::Null,
        "grid": [[1, 2], [3]], "expires": at(1), "ratio": if n == 0 { Bson::Int32(1) } else { Bson::Double(0.5) },
        "count": if n == 0 { Bson::Int32(1) } else { Bson::Int64(1 << 40) },
        "mixed": if n == 0 { Bson::from("text") } else { Bson::from(5) },
    };
    if n != 1 {
        log.insert("gate", "B7");
        log.insert("crewIds", [id(200), id(201)]);
    }
    log.insert("status", ["on-time", "LATE", "in air"][n as usize % 3]);
    log.insert("remark", if n == 0 { "x".repeat(65) } else { "short".to_owned() });
    let counts: Document =
        (0..30).filter(|key| key % 3 == n % 3).map(|key| (format!("key {key}"), Bson::Int32(key))).collect();
    log.insert("counts", counts);
    log
}

/// A field for each kind of GeoJSON, one of any kind, and some that are not what they seem.
fn region(n: i32) -> Document {
    let geometry = |kind: &str, coordinates: Bson| doc! { "type": kind, "coordinates": coordinates };
    let (line, ring) = (bson!([[0, 0], [1.5, 1]]), bson!([[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]]));
    let way = geometry("LineString", line.clone());
    doc! {
        "_id": n, "way": way.clone(), "area": geometry("Polygon", ring.clone()), "stops": geometry("MultiPoint", line.clone()),
        "net": geometry("MultiLineString", bson!([line.clone()])), "islands": geometry("MultiPolygon", bson!([ring])),
        "parts": { "type": "GeometryCollection", "geometries": [way.clone()] }, "ways": [way.clone()],
        "any": if n == 0 { way } else { geometry("Point", bson!([1, 2])) },
        "far": geometry("LineString", bson!([[0, 0], [0, 91]])), "chart": { "type": "line", "coordinates": [1, 2] },
    }
}

async fn seeded(t: &Fixture) -> Result<()> {
    t.seed("regions", [0, 1].map(region)).await?;
    t.seed("airports", ["PDX", "SLE", "SEA"].map(airport)).await?;
    t.seed("new_airports", [doc! { "_id": 1_i64, "binary": Bson::Binary(bson::Binary { subtype: bson::spec::BinarySubtype::Generic, bytes: vec![1] }) }]).await?;
    t.seed("vecs", [doc! { "_id": Bson::Binary(bson::Uuid::from_bytes([5; 16]).into()), "price": "1.5".parse::<bson::Decimal128>().unwrap() }]).await?;
    t.seed("crews", [200, 201].map(|n| doc! { "_id": id(n), "name": "One", "captainId": id(200) })).await?;
    t.seed("flight-logs", (0..24).map(log)).await?;
    t.seed("odd ids", [doc! { "_id": { "a": 1 }, "deep": { "_id": 5, "x.y": 1 } }]).await?;
    let indexes = [
        ("flight-logs", doc! { "key": { "self": 1, "HTTPCode": -1 }, "name": "self_1_HTTPCode_-1" }),
        ("flight-logs", doc! { "key": { "home.zipCode": 1 }, "name": "zips" }),
        (
            "flight-logs",
            doc! { "key": { "expires": 1 }, "name": "expires_1", "expireAfterSeconds": 315_360_000 },
        ),
        (
            "flight-logs",
            doc! { "key": { "gate": 1 }, "name": "gate_1", "partialFilterExpression": { "self": { "$gt": 1 } } },
        ),
        ("flight-logs", doc! { "key": { "nowhere": 1 }, "name": "nowhere_1" }),
        ("airports", doc! { "key": { "name": 1 }, "name": "name_1", "unique": true }),
        ("airports", doc! { "key": { "location": "2dsphere" }, "name": "location_2dsphere" }),
    ];
    for (collection, spec) in indexes {
        t.driver.create_index(t.name(), collection, &spec).await?;
    }
    t.driver.admin(t.name(), &doc! { "create": "busy", "viewOn": "flight-logs", "pipeline": [{ "$match": { "self": { "$gte": 2 } } }] }).await?;
    t.driver.admin(t.name(), &doc! { "create": "empties" }).await?;
    Ok(())
}

fn text<'f>(files: &'f [PulledFile], name: &str) -> &'f str {
    let found = files.iter().find(|file| file.name == name);
    &found
        .unwrap_or_else(|| {
            panic!("{name} is not among {:?}", files.iter().map(|f| &f.name).collect::<Vec<_>>())
        })
        .text
}

/// Compiles the files as a program of their own, runs it, and answers with what it prints.
fn run(files: &[PulledFile]) -> String {
    let folder = tempfile::Builder::new().prefix("pulled-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let models = folder.path().join("models");
    std::fs::create_dir(&models).unwrap();
    for file in files {
        std::fs::write(models.join(&file.name), &file.text).unwrap();
    }
    let main = folder.path().join("main.rs");
    std::fs::write(&main, MAIN).unwrap();
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program = folder.path().join("program");
    let mut errors = "there is no library of forge".to_owned();
    let compiled = forge_libraries(&deps).iter().any(|library| {
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.arg(&main).args(["--edition", "2024", "-L"]).arg(format!("dependency={}", deps.display()));
        rustc.arg("--extern").arg(format!("forge={}", library.display())).arg("-o").arg(&program);
        let output = rustc.output().unwrap();
        errors = String::from_utf8_lossy(&output.stderr).into_owned();
        // Another build may be replacing what this library depends on: an older one has its own.
        let foreign = ["E0460", "E0463", "E0786", "to be available in rlib", "found possibly newer"];
        assert!(output.status.success() || foreign.iter().any(|sign| errors.contains(sign)), "{errors}");
        output.status.success()
    });
    assert!(compiled && !errors.contains("warning"), "{errors}");
    let ran = Command::new(program).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// Prints every index that the models declare, and reads a document into one of them.
const MAIN: &str = r#"
#![allow(dead_code, unused_imports, reason = "the program uses few of its models")]
mod models;
fn main() {
    let catalog = forge::Catalog::collect().unwrap();
    for model in catalog.models() {
        let indexes: Vec<_> = model.indexes.iter().map(|index| index.name()).collect();
        println!("{} {:?} {}", model.name, model.collection, indexes.join(" "));
    }
}
"#;

/// The newest first.
fn forge_libraries(deps: &Path) -> Vec<PathBuf> {
    let files = deps.read_dir().unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let mut libraries: Vec<_> = files
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with("libforge-") && name.ends_with(".rlib")
        })
        .collect();
    libraries.sort_by_key(|path| std::cmp::Reverse(path.metadata().and_then(|data| data.modified()).ok()));
    libraries
}

conformance! {
    async fn awkward_documents_become_models_that_compile(t) {
        seeded(t).await?;
        let files = t.adapter.pull(t.name(), &PullSettings::default()).await?;
        let logs = text(&files, "flight_log.rs");
        for line in [
            "#[model(collection = \"flight-logs\", timestamps)]",
            "pub struct FlightLog {",
            "    pub id: Id<FlightLog>,",
            "    pub r#type: String,",
            "    #[serde(rename = \"self\")]\n    pub self_: i32,",
            "    #[serde(rename = \"2nd\")]\n    pub n2nd: bool,",
            "    #[serde(rename = \"first-name\")]\n    pub first_name: String,",
            "    #[serde(rename = \"HTTPCode\")]\n    pub http_code: i32,",
            "    pub created_at: DateTime,",
            "    pub gate: Option<String>,",
            "    pub count: i64,",
            "    pub ratio: f64,",
            "    pub mixed: forge::types::Any,",
            "    pub nil: Option<forge::types::Any>,",
            "    pub grid: Vec<Vec<i32>>,",
            "    pub tags: Vec<String>,",
            "    pub counts: std::collections::BTreeMap<String, i32>,",
            "    #[model(embed)]\n    pub home: FlightLogHome,",
            "    #[model(embed_many)]\n    pub legs: Vec<FlightLogLeg>,",
            "    pub crew_id: Id<Crew>,",
            "    #[model(belongs_to(key = crew_id))]\n    pub crew: BelongsTo<Crew>,",
            "    #[model(belongs_to(key = airport_code))]\n    pub airport: BelongsTo<Airport>,",
            "#[serde(rename_all = \"camelCase\")]\npub struct FlightLogHome {\n    pub zip_code: String,\n    pub floor: Option<i32>,\n}",
            "    pub minutes: Option<i64>,",
            "    pub status: FlightLogStatus,",
            "    #[serde(rename = \"on-time\")]\n    OnTime,",
            "    #[serde(rename = \"LATE\")]\n    Late,",
            "    #[serde(rename = \"in air\")]\n    InAir,",
            "    pub remark: String,",
            "    #[model(default)]\n    #[serde(rename = \"crewIds\")]\n    pub crew_ids: Vec<Id<Crew>>,",
            "    #[model(references_many(key = crew_ids))]\n    pub crews: HasMany<Crew>,",
            "#[model(index(self_, http_code = -1))]",
            "#[model(index(\"home.zipCode\", name = \"zips\"))]",
            "#[model(index(expires, ttl = 315360000))]",
            "// The index \"nowhere_1\" is not described: no sampled document has \"nowhere\".",
        ] {
            assert!(logs.contains(line), "{line}\nis not in\n{logs}");
        }
        assert!(logs.contains("sampled values are ids of `crews`"), "{logs}");
        let airports = text(&files, "airport.rs");
        assert!(airports.contains("pub document_id: String") && airports.contains("pub location: GeoPoint"), "{airports}");
        let regions = text(&files, "region.rs");
        for line in [
            "pub way: forge::types::GeoLine,",
            "pub area: forge::types::GeoPolygon,",
            "pub stops: forge::types::GeoMultiPoint,",
            "pub net: forge::types::GeoMultiLine,",
            "pub islands: forge::types::GeoMultiPolygon,",
            "pub parts: forge::types::GeoCollection,",
            "pub ways: Vec<forge::types::GeoLine>,",
            "pub any: forge::types::GeoShape,",
            "#[model(embed)]\n    pub far: RegionFar,",
            "#[model(embed)]\n    pub chart: RegionChart,",
        ] {
            assert!(regions.contains(line), "{line}\nis not in\n{regions}");
        }
        assert!(text(&files, "new_airport_doc.rs").contains("pub struct NewAirportDoc"), "a name that the derive of another model makes");
        assert!(text(&files, "vec_doc.rs").contains("pub id: Uuid,"));
        assert!(text(&files, "busy.rs").contains("#[model(view(source = FlightLog, pipeline = pipeline))]"));
        assert!(text(&files, "empty.rs").contains("which was empty"));
        let printed = run(&files);
        for line in [
            "Airport \"airports\" name_1 location_2dsphere",
            "FlightLog \"flight-logs\" self_1_HTTPCode_-1 zips expires_1 gate_1",
            "Busy \"busy\" ",
        ] {
            assert!(printed.lines().any(|printed| same_words(printed, line)), "{line}\nis not in\n{printed}");
        }
    }

    async fn a_part_of_a_database_is_described_alone(t) {
        seeded(t).await?;
        let mut settings = PullSettings::default();
        settings.collections = vec!["crews".into()];
        let files = t.adapter.pull(t.name(), &settings).await?;
        assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["crew.rs", "mod.rs"]);
        settings.collections = vec!["missing".into()];
        let error = t.adapter.pull(t.name(), &settings).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::NotFound);
        assert!(error.to_string().contains("airports"), "{error}");
    }
}

/// Servers list indexes in orders of their own.
fn same_words(a: &str, b: &str) -> bool {
    let words = |line: &str| {
        let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        words.sort_unstable();
        words
    };
    words(a) == words(b)
}
