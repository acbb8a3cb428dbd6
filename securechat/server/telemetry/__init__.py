"""The relay as seen from outside: what is counted, whether all threads answer, for whom to read.

- ``counters``      what is rare, counted under a lock; the hot figures are ``net.traffic``, one for
                    each I/O thread; ``histogram`` how long something took
- ``health``        whether the threads answer, and what passes each second (``rates``)
- ``cluster_figures``  how it stands with other relays, where several are one chat
- ``figures``       all of it at one moment; nothing else is read by those who show it
- ``exporter``      the port for Prometheus and for health checks: ``http_server`` speaks,
                    ``exposition`` writes the figures in the format of Prometheus (an extra)
- ``grafana-dashboard.json``  a dashboard of these metrics, to be imported into Grafana

Nothing here is on the way of a message.
"""
