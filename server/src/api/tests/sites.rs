//! Sites, their widgets, and what only the operator may do.

use serde_json::{Value, json};

use super::world::{Answer, By, World, send};

#[tokio::test]
async fn an_admin_sets_their_site_up_and_what_cannot_work_is_refused() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let path = format!("/v1/sites/{}", world.a.site.site);
    let change = json!({
        "name": "Shop",
        "origins": ["https://Shop.Example/", "https://shop.example", "http://127.0.0.1:8082"],
        "texts": { "title": "Hello" },
        "form": { "name": "required" },
        "notice": { "text": "We keep this 60 days.", "url": "https://shop.example/privacy" },
        "redaction_patterns": ["ORDER-[0-9]+"],
    });
    let site = world.patch(by, &path, change).await.expect(200).json();
    assert_eq!(site["origins"], json!(["https://shop.example", "http://127.0.0.1:8082"]));
    assert_eq!(site["form"], json!({ "name": "required", "email": "optional" }));
    assert_eq!(site["retention"]["transcript"], "60 days");
    let key = world.a.site.site_key.as_str();
    assert_eq!(
        site["embed_tag"],
        format!(
            "<script async src=\"http://127.0.0.1:8080/widget/loader.js\" data-site-key=\"{key}\"></script>"
        )
    );
    assert_eq!(world.get(by, &path).await.json(), site);
    assert_eq!(world.asked(), [format!("site_changed {}", world.a.site.site)]);
    for (field, value) in [
        ("name", json!(" ")),
        ("name", json!("a".repeat(101))),
        ("origins", json!(["http://shop.example"])),
        ("origins", json!(["*"])),
        ("origins", json!(["https://*.example"])),
        ("origins", json!(["https://shop..example"])),
        ("origins", json!(vec!["https://a.example"; 33])),
        ("texts", json!({ "Not A Name": "x" })),
        ("texts", json!({ "title": "a".repeat(501) })),
        ("form", json!({ "shoe_size": "required" })),
        ("form", json!({ "name": "maybe" })),
        ("notice", json!({ "text": "", "url": "javascript:alert(1)" })),
        ("notice", json!({ "text": "", "url": "https://" })),
        ("notice", json!({ "text": "", "url": "http://shop.example" })),
        ("redaction_patterns", json!(["("])),
        ("redaction_patterns", json!(["a*"])),
        ("redaction_patterns", json!(["(?:x{1,60}){1,60}0"])),
    ] {
        let answer =
            world.patch(by, &path, json!({ field: value })).await.expect_code(422, "invalid");
        assert_eq!(answer.json()["field"], field);
    }
    assert_eq!(world.get(by, &path).await.json(), site);
    let second_is_wrong = json!({ "origins": ["https://a.example", "https://b.example/x"] });
    let answer = world.patch(by, &path, second_is_wrong).await.expect_code(422, "invalid");
    let words = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(words.contains("Origin 2 ") && !words.contains("b.example"), "{words}");
}

#[tokio::test]
async fn origins_are_kept_as_browsers_spell_them() {
    let world = World::new().await;
    let by = &world.a.by_admin;
    let path = format!("/v1/sites/{}", world.a.site.site);
    let change = json!({
        "origins": [
            "https://MÜNCHEN.example.", "https://[2001:0db8:0:0::1]:443", "https://*.Shop.example",
        ],
        "notice": { "text": "", "url": "https://münchen.example/datenschutz" },
    });
    let site = world.patch(by, &path, change).await.expect(200).json();
    let kept =
        ["https://xn--mnchen-3ya.example", "https://[2001:db8::1]", "https://*.shop.example"];
    assert_eq!(site["origins"], json!(kept));
    let widget = format!("/v1/widget/{}", world.a.site.site_key);
    for page in [
        "https://xn--mnchen-3ya.example",
        "https://xn--mnchen-3ya.example.",
        "https://[2001:db8::1]",
        "https://a.b.shop.example",
    ] {
        let widget = world.get(&By::nobody().from(Some(page)), &widget).await.expect(200);
        assert_eq!(widget.header("livehelp-page-origin"), "", "{page}");
    }
}

#[tokio::test]
async fn a_page_that_the_site_does_not_list_is_refused_and_told_to_the_sites_admin() {
    let world = World::new().await;
    let path = format!("/v1/sites/{}", world.a.site.site);
    assert_eq!(world.get(&world.a.by_admin, &path).await.json()["refused_origins"], json!([]));
    let widget = format!("/v1/widget/{}", world.a.site.site_key);
    let elsewhere = By::nobody().from(Some("https://elsewhere.example"));
    let told = world.get(&elsewhere, &widget).await.expect(200);
    assert_eq!(told.header("livehelp-page-origin"), "not-listed");
    assert_eq!(told.header("access-control-expose-headers"), "livehelp-page-origin");
    assert_eq!(told.header("vary"), "origin");
    let asked = format!("origin_refused {} https://elsewhere.example", world.a.site.site);
    assert_eq!(world.asked(), [asked]);
    let site = world.get(&world.a.by_admin, &path).await.json();
    let told = json!([{
        "origin": "https://elsewhere.example", "addable": true, "at": super::world::NOW.0,
    }]);
    assert_eq!(site["refused_origins"], told);
    let unasked = world.get(&By::nobody(), &widget).await.expect(200);
    assert_eq!(unasked.header("livehelp-page-origin"), "");
}

#[tokio::test]
async fn an_admin_reads_their_plan_and_cannot_change_it() {
    let world = World::new().await;
    let path = format!("/v1/sites/{}", world.a.site.site);
    for change in [json!({ "plan": "enterprise" }), json!({ "state": "closed", "name": "X" })] {
        for by in [&world.a.by_admin, &world.a.by_key] {
            let answer = world.patch(by, &path, change.clone()).await;
            answer.expect_code(403, "forbidden-field");
        }
    }
    let site = world.get(&world.a.by_admin, &path).await.json();
    assert_eq!((&site["plan"], &site["name"]), (&json!("free"), &json!("ada's shop")));
    let body = json!({ "name": "S", "origins": [], "plan": "team" });
    world.post(&world.a.by_admin, "/v1/sites", body).await.expect_code(422, "invalid");
}

#[tokio::test]
async fn any_page_may_read_a_widgets_configuration_and_its_refusal() {
    let world = World::new().await;
    let path = format!("/v1/widget/{}", world.a.site.site_key);
    let site = format!("/v1/sites/{}", world.a.site.site);
    let notice = json!({ "notice": { "text": "Read this.", "url": "" } });
    world.patch(&world.a.by_admin, &site, notice).await.expect(200);
    let shop = By::nobody().from(Some("https://shop.example"));
    let widget = world.get(&shop, &path).await.expect(200);
    // By its name and with leave for cookies, which a page's own `fetch` may send along; none
    // counts.
    assert_eq!(widget.header("access-control-allow-origin"), "https://shop.example");
    assert_eq!(widget.header("access-control-allow-credentials"), "true");
    assert_eq!(widget.header("cross-origin-resource-policy"), "cross-origin");
    assert_eq!(widget.header("cache-control"), "public, max-age=60");
    let json = widget.json();
    assert_eq!((&json["availability"], &json["locale_default"]), (&json!("busy"), &json!("en")));
    assert_eq!(json["notice"]["hash"].as_str().unwrap().len(), 64);
    let mut names: Vec<&String> = json.as_object().unwrap().keys().collect();
    names.sort();
    let wanted = [
        "availability",
        "form",
        "locale_default",
        "name",
        "notice",
        "site_id",
        "site_key",
        "texts",
    ];
    assert_eq!(names, wanted, "nothing else is public");
    let unknown = [
        String::from("/v1/widget/site_00000000000000000000000000000000"),
        String::from("/v1/widget/nonsense"),
    ];
    for path in unknown {
        let answer = world.get(&shop, &path).await.expect_code(404, "not-found");
        assert_eq!(answer.header("access-control-allow-origin"), "https://shop.example");
    }
}

#[tokio::test]
async fn the_operator_creates_organizations_sets_plans_and_closes_sites() {
    let world = World::new().await;
    let by = &world.by_operator;
    let at = async |method: &str, path: &str, body: Option<Value>| -> Answer {
        send(&world.admin, by, method, path, body).await
    };
    let body = json!({ "name": "New Ltd", "privacy_contact": "privacy@new.example" });
    let tenant = at("POST", "/v1/tenants", Some(body)).await.expect(201).json();
    let tenant_path = format!("/v1/tenants/{}", tenant["tenant_id"].as_str().unwrap());
    assert_eq!(at("GET", &tenant_path, None).await.expect(200).json(), tenant);
    let list = at("GET", "/v1/tenants?limit=2", None).await.expect(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
    assert!(list["next_cursor"].is_string());
    let body = json!({ "name": "S", "origins": ["https://new.example"], "plan": "business" });
    let sites = format!("{tenant_path}/sites");
    let site = at("POST", &sites, Some(body)).await.expect(201).json();
    assert_eq!((&site["plan"], &site["state"]), (&json!("business"), &json!("open")));
    assert_eq!(at("GET", &sites, None).await.expect(200).json()["items"], json!([site]));
    let site_path = format!("/v1/sites/{}", site["site_id"].as_str().unwrap());
    let plan = Some(json!({ "plan": "team" }));
    let changed = at("PUT", &format!("{site_path}/plan"), plan).await.expect(200).json();
    assert_eq!(changed["retention"]["transcript"], "12 months");
    let closed = at("POST", &format!("{site_path}/close"), None).await.expect(200).json();
    assert_eq!(closed["state"], "closed");
    assert!(closed["closed_at"].is_u64());
    let widget = format!("/v1/widget/{}", site["site_key"].as_str().unwrap());
    let refused = world.get(&By::nobody(), &widget).await.expect_code(404, "not-found");
    assert_eq!(refused.header("access-control-allow-origin"), "*");
    let open = at("POST", &format!("{site_path}/reopen"), None).await.expect(200).json();
    assert_eq!((&open["state"], &open["closed_at"]), (&json!("open"), &json!(null)));
    assert_eq!(at("GET", &site_path, None).await.expect(200).json(), open);
    let body = json!({ "email": "first@new.example", "role": "admin" });
    let invitation = at("POST", &format!("{tenant_path}/invitations"), Some(body)).await;
    assert!(invitation.expect(201).json()["link"].is_string());
    let nowhere = "/v1/tenants/ten_018fb4c27a3f7cc19d4e5b2a6f708192";
    at("GET", nowhere, None).await.expect_code(404, "not-found");
    at("GET", "/v1/conversations", None).await.expect_code(404, "not-found");
    let body = json!({ "name": "New Ltd", "privacy_contact": "call us" });
    at("POST", "/v1/tenants", Some(body)).await.expect_code(422, "invalid");
}
