def main(output):
    pass
