"""Who may publish and who may play: tokens, publish keys, the operator's own say, signatures and addresses."""
