"""The local stack: all of Spark in an emulator of AWS on this machine, and real LangFlow beside it.

stack        up, down, reset, tick: what commands and tests call
emulator     the MiniStack process             pidfile, ports, layout   which process, which port, which folders
template     template.yaml for the emulator    bundles, deployment      its functions, and the stack made of both
status, logs, watch                            what is seen of it
engines      LangFlow servers of our own
"""
