from html import escape

from app.sandbox.faults import FAULTS
from app.sandbox.outcomes import MAGIC
from tests.sandbox.desk import OTP, Desk, contact


async def page(desk: Desk) -> str:
    return (await desk.http.get("/")).text


async def test_the_page_lists_every_magic_number_and_every_fault(desk: Desk) -> None:
    text = await page(desk)
    for outcome in MAGIC:
        assert f"<code>{outcome.ending}</code>" in text
        assert escape(outcome.title) in text
    for name in FAULTS:
        assert f'action="/page/faults/{name}/on"' in text


async def test_the_page_masks_numbers_and_escapes_what_was_sent(desk: Desk) -> None:
    await desk.send(contact("0901234567"), contact("<script>alert(1)</script>"), campaign=OTP)
    await desk.send(contact("0901234568"), campaign="<img src=x>")
    text = await page(desk)
    assert "+84901***567" in text
    assert "0901234567" not in text
    assert "901234567" not in text
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;img src=x&gt;" in text


async def test_a_form_switches_a_fault_on_and_off_without_a_script(desk: Desk) -> None:
    form = {"times": "3", "campaign": "", "on": "export", "delay_ms": "10", "when": "after"}
    answer = await desk.http.post("/page/faults/slow/on", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/#faults")
    fault = (await desk.state())["faults"]["slow"]
    assert (fault["left"], fault["on"], fault["delay_ms"], fault["campaign"]) == (3, "export", 10, None)
    assert "on, struck 0, 3 left" in await page(desk)
    await desk.http.post("/page/faults/slow/off")
    assert (await desk.state())["faults"] == {}


async def test_a_form_with_a_fault_in_it_is_told_so(desk: Desk) -> None:
    answer = await desk.http.post("/page/faults/slow/on", data={"delay_ms": "soon"})
    assert answer.status_code == 400
    assert "delay_ms" in answer.text
    assert (await desk.http.post("/page/faults/nope/on")).status_code == 404


async def test_a_form_of_another_site_is_refused(desk: Desk) -> None:
    answer = await desk.http.post("/page/reset", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


async def test_a_form_stops_and_starts_a_campaign_and_resets(desk: Desk) -> None:
    await desk.http.post(f"/page/campaigns/{OTP}/stop")
    assert (await desk.send(contact("0901234567"))).json()["code"] == "03"
    await desk.http.post(f"/page/campaigns/{OTP}/start")
    await desk.send(contact("0901234567"))
    await desk.http.post("/page/reset")
    state = await desk.state()
    assert (state["calls"], state["imports"], state["counts"]["rows_served"]) == ([], [], 0)
    assert (await desk.export())["status"] == 1
