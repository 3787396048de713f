def answer(name, settings):
    return f"{settings['greeting']} {name} ({settings['language']})"
