import time, pytest

pytestmark = pytest.mark.browser


def test_look(opened):
    nb = opened("01_activation_functions.ipynb")
    p = nb.page
    time.sleep(2)
    p.screenshot(path="/tmp/nb/u0.png")
    el = p.locator(".jp-CodeCell").nth(2)
    el.scroll_into_view_if_needed()
    time.sleep(1)
    p.screenshot(path="/tmp/nb/u1.png")
    el = p.locator(".jp-CodeCell").nth(8)
    el.scroll_into_view_if_needed()
    time.sleep(1)
    p.screenshot(path="/tmp/nb/u2.png")
    t = time.time()
    nb.run_all()
    print("run all", time.time() - t)
    el = p.locator(".jp-CodeCell").nth(2)
    el.scroll_into_view_if_needed()
    time.sleep(1)
    p.screenshot(path="/tmp/nb/u3.png")
    el = p.locator(".jp-CodeCell").nth(8)
    el.scroll_into_view_if_needed()
    time.sleep(1)
    p.screenshot(path="/tmp/nb/u4.png")
    print(nb.complaints, p.locator(".lab-still:visible").count())
