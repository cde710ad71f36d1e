"""RTMP servers that tell who publishes on them: a parser for each one's status page, and the request.

Every parser is pure and returns {stream key: publisher}, in which the publisher is named as in that server's webhooks.
Names that are no stream keys are left out: no webhook would have let them in.
"""
