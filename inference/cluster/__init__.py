"""Engines on other machines, through Ray.

`anima cluster` runs Ray's head beside the bot, `anima engine HOST` runs a node on each machine with a GPU. For each
engine the bot starts a child process, `EngineProcess(partial(load_remote_engine, …))`, which is Ray's driver: the bot
itself never imports Ray, and when the head or the network is lost, only that child ends. The driver starts an actor,
`EngineHost`, on any node with a free engine, sends it requests and relays its messages. Nothing that must survive is
kept in Ray: no restarts, no retries, no detached actors.
"""
