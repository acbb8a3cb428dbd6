"""What was said and done, kept and given back.

- ``keeper``    effects to entries, on their way to the store, and who waits for the commit
- ``entries``   what an effect is in the history
- ``access``    who may read what
- ``playback``  entries to lines
- ``replay``      what was missed, for clients that do not ask
- ``retention``   what goes in the end
- ``read_markers``  how far people have read, kept

**The promise:** a message whose echo or labelled reply the sender has received is in the history,
even if the relay is killed the next instant. So the acknowledgement waits for the commit of its
group; what others get does not. Whoever asked for neither waits for nothing, nor does anybody in a
room that keeps nothing by the wish of its owner.
"""
