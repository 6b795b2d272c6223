"""What the kubelet is told."""

import aiohttp

from penstock_operator.handlers.health import WATCH_LAG_MAX_S, Health


async def test_a_stuck_watch_is_no_life_and_a_silent_api_no_readiness() -> None:
    lag_s, reached = 0.0, False
    health = Health(lag_s=lambda: lag_s, ready=lambda: reached)
    port = await health.start("127.0.0.1", 0)

    async def status(path: str) -> int:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status

    assert (await status("/livez"), await status("/readyz")) == (200, 503)
    lag_s, reached = WATCH_LAG_MAX_S, True
    assert (await status("/livez"), await status("/readyz")) == (503, 200)
    await health.stop()
